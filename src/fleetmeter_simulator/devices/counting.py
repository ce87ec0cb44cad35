"""Runs a device's register: what it counts, what it shows, and what is true."""

from collections.abc import Iterator

from fleetmeter_simulator.devices.register_profiles import RegisterProfile
from fleetmeter_simulator.devices.registers import Counted, Exchange, Register, SessionCounter

Shown = tuple[int, str | None]
"""The value shown, mWh, and the session named with it."""

_EXCHANGED_AFTER_US = 1_000_000
_DAY_US = 86_400_000_000


class Counting:
    """Counts and shows one register."""

    def __init__(
        self,
        seed: int,
        kind: str,
        number: int,
        device_id: str,
        profile: RegisterProfile,
        total_mwh: int,
    ) -> None:
        self.total_mwh = total_mwh
        """Energy counted in its lifetime, or since the meter was exchanged."""
        self.counted: list[Counted] = []
        """True counts at the readings of the hour that show it."""
        self.exchanges: list[Exchange] = []
        """Exchanges not reported yet."""
        self.unstable: list[tuple[int, int]] = []
        """Times at which it dropped out twice within a day, not reported yet."""
        self._fell_us: int | None = None
        self._device_id = device_id
        self._profile = profile
        self._register = Register(seed, kind, number, profile)
        self._sessions = SessionCounter(device_id, total_mwh // 5000)
        self._counted_mwh = 0

    def add(self, energy_mwh: int) -> int:
        """Count an interval, and return the total."""
        self.total_mwh += energy_mwh
        self._counted_mwh += energy_mwh
        return self.total_mwh

    def show(self, time_us: int, total_mwh: int) -> int:
        """Return what a reading shows of a total."""
        value = self._register.shown(total_mwh)
        if self._register.is_true:
            self._note(time_us, self._register.resolution_mwh)
        if self._register.fell:
            if self._fell_us is not None and time_us - self._fell_us <= _DAY_US:
                self.unstable.append((self._fell_us, time_us))
            self._fell_us = time_us
        return value

    def of_sessions(self, energies: list[int], times: list[int]) -> Iterator[Shown]:
        """Return what a counter of sessions shows after each of these intervals."""
        sessions = self._sessions
        for energy, time in zip(energies, times, strict=True):
            self.add(energy)
            value = sessions.shown(energy)
            self._note(time, 0)
            yield value, sessions.session_id if self._profile.names_sessions else None

    def exchange(self, last_us: int) -> None:
        """Put another meter in its place, just after a reading."""
        exchange = self._register.exchanged(
            self._device_id,
            last_us + _EXCHANGED_AFTER_US,
            self.total_mwh,
            is_stated=self._profile.exchange_is_stated,
        )
        self.exchanges.append(exchange)
        # what the old one had not shown yet is no energy that is lost
        self.total_mwh += exchange.first_mwh - exchange.last_mwh

    def _note(self, time_us: int, resolution_mwh: int) -> None:
        self.counted.append(Counted(self._device_id, time_us, self._counted_mwh, resolution_mwh))
