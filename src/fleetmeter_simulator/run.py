"""Runs a whole simulation, as `fleetmeter simulate` does."""

import signal
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic

import msgspec

from fleetmeter.errors import FleetMeterError
from fleetmeter.readings.ids import is_site
from fleetmeter.readings.model import EPOCH, MICROSECOND, rfc3339
from fleetmeter.terminal import say
from fleetmeter_simulator.client.pace import Pace
from fleetmeter_simulator.client.sending import Sender, Tally
from fleetmeter_simulator.client.service import StoppedError, check
from fleetmeter_simulator.client.setup import exchange_of, settings_of
from fleetmeter_simulator.devices.climate import Season
from fleetmeter_simulator.devices.registers import Exchange
from fleetmeter_simulator.display import Show, counts, display, name_of
from fleetmeter_simulator.faults.kinds import Wanted, per_kind
from fleetmeter_simulator.faults.truth import write_truth
from fleetmeter_simulator.fleet import Fleet
from fleetmeter_simulator.wires.ways import Target, Way, wire_to

_HOUR = timedelta(hours=1)
_SPEEDY_BACK = timedelta(hours=24)
"""Age of a simulation's start if only a speed is given."""
_ENDLESS = timedelta(days=1)
"""Time added for placing faults if no end is given."""
_TICK_S = 0.5
_LAST_TICK_S = 0.05
_BATCH = 5000
_SLICE = 20_000
"""Arrivals that are handed over at a time, so that the display stays alive."""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """Holds the options of the command line."""

    url: str
    key: str | None
    via: Way
    broker: str
    vehicles: int
    seed: int
    backfill: timedelta | None
    speed: float | None
    start: datetime | None
    duration: timedelta | None
    season: Season | None
    faults: Sequence[Wanted]
    faults_per_kind: int
    truth: Path | None
    prefix: str
    connections: int


def simulate(options: Options) -> None:
    """Drive the service until the duration is over, or a signal asks to stop.

    Raises FleetMeterError.
    """
    if options.prefix and not is_site(f"{options.prefix}SITE-100000"):
        raise FleetMeterError("--prefix: at most 40 of the characters A–Z a–z 0–9 . _ : -")
    now = datetime.now(UTC)
    start = _start(options, now)
    span = now - start + (_ENDLESS if options.duration is None else options.duration)
    check(options.url)
    fleet = _fleet(options, start, span)
    for wanted in fleet.unplaced:
        variant = f":{wanted.variant}" if wanted.variant else ""
        say(
            f"no place for {wanted.kind}{variant}: too few vehicles or days for it to show",
            err=True,
        )
    if options.truth is not None:
        write_truth(options.truth, fleet, options.seed, fleet.start)
    say(
        f"{len(fleet.devices.vehicles):,} vehicles and {len(fleet.devices.meters):,} meters from "
        f"{rfc3339(fleet.start)} on, {len(fleet.faults)} faults, to {options.url}",
        err=True,
    )
    wire = wire_to(options.via, Target(options.url, options.key, options.broker))
    sender = Sender(options.url, options.connections, _BATCH, options.key, wire)
    began = monotonic()
    drive = _Drive(fleet, sender, options)
    with _stop_on_signals(sender), suppress(StoppedError):
        sender.announce(settings_of(fleet.devices))
        with display(sender.tally) as show, sender.running():
            drive.run(show)
    if options.truth is not None:
        write_truth(options.truth, fleet, options.seed, drive.until)
    say(_summary(sender.tally, fleet, drive.until, monotonic() - began))


def _start(options: Options, now: datetime) -> datetime:
    """Return the full hour at which the simulation starts. Raises FleetMeterError."""
    back = options.backfill
    if options.start is not None:
        if back is not None:
            raise FleetMeterError("--start and --backfill both say when it begins; give one")
        if options.start > now:
            raise FleetMeterError(f"--start {rfc3339(options.start)} is in the future")
        start = options.start
    else:
        if back is None:
            back = timedelta() if options.speed is None else _SPEEDY_BACK
        start = now - back
    return start.replace(minute=0, second=0, microsecond=0)


def _fleet(options: Options, start: datetime, span: timedelta) -> Fleet:
    wanted = [*_prefixed(options), *per_kind(options.faults_per_kind)]
    try:
        return Fleet(
            options.seed,
            options.vehicles,
            start,
            span / timedelta(days=1),
            season=options.season,
            faults=wanted,
            prefix=options.prefix,
        )
    except ValueError as error:
        raise FleetMeterError(str(error)) from error


def _prefixed(options: Options) -> Iterator[Wanted]:
    for wanted in options.faults:
        if wanted.device is not None and not wanted.device.startswith(options.prefix):
            wanted = msgspec.structs.replace(wanted, device=options.prefix + wanted.device)
        yield wanted


class _Drive:
    """Hands arrivals over when they are due."""

    def __init__(self, fleet: Fleet, sender: Sender, options: Options) -> None:
        self._fleet = fleet
        self._sender = sender
        self._speed = options.speed
        self._duration = options.duration
        self._ends: datetime | None = None
        self._stated: set[Exchange] = set()
        self.until = fleet.start
        """The time up to which everything was handed over."""

    def run(self, show: Show) -> None:
        """Run until the duration after reaching the present is over, and all is answered.

        Raises StoppedError.
        """
        pace = Pace(self._fleet.start, self._speed)
        hour = self._fleet.start
        while self._ends is None or hour < self._ends:
            self._hour(hour, pace, show)
            hour += _HOUR
        while self._sender.tally.sent < self._sender.tally.given:
            show(self.until, True, [])
            self._sender.pause(_LAST_TICK_S)

    def _hour(self, hour: datetime, pace: Pace, show: Show) -> None:
        fleet, sender = self._fleet, self._sender
        arrivals = fleet.arrivals(hour)
        sent = 0
        while True:
            now = pace.now()
            until = min(now, hour + _HOUR, self._ends or now)
            due = bisect_right(
                arrivals, (until - EPOCH) // MICROSECOND, lo=sent, key=lambda each: each[0]
            )
            while sent < due:
                some = arrivals[sent : min(sent + _SLICE, due)]
                sender.send(some)
                sent += len(some)
                self.until = EPOCH + timedelta(microseconds=some[-1][0])
                show(self.until, self._ends is not None, list(fleet.active(self.until)))
            self.until = until
            self._state_exchanges()
            if now >= hour + _HOUR or until == self._ends:
                return
            if self._ends is None and self._duration is not None and pace.caught_up():
                self._ends = now + self._duration
            show(until, pace.caught_up(), list(fleet.active(until)))
            sender.pause(_TICK_S)

    def _state_exchanges(self) -> None:
        """Send the exchanges that somebody has recorded by now."""
        now = (self.until - EPOCH) // MICROSECOND
        due = [
            each
            for each in self._fleet.exchanges
            if each.stated_us is not None and each.stated_us <= now and each not in self._stated
        ]
        if due:
            self._sender.announce([exchange_of(each)] for each in due)
            self._stated.update(due)


@contextmanager
def _stop_on_signals(sender: Sender) -> Iterator[None]:
    """Stop cleanly at the first signal, and at once at the next one."""
    numbers = (signal.SIGINT, signal.SIGTERM)

    def stop(number: int, frame: object) -> None:
        sender.stop()
        for each in numbers:
            signal.signal(each, signal.default_int_handler)

    handlers = {number: signal.signal(number, stop) for number in numbers}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _summary(tally: Tally, fleet: Fleet, until: datetime, seconds: float) -> str:
    rate = tally.sent / max(seconds, 1e-3)
    lines = [
        f"simulated {rfc3339(fleet.start)} to {rfc3339(until.replace(microsecond=0))} in "
        f"{seconds:,.0f} s: {counts(tally)}, {rate:,.0f}/s"
    ]
    if tally.rejected:
        codes = ", ".join(f"{code} {count:,}" for code, count in tally.codes.most_common())
        lines.append(f"rejected: {codes}; for example: {tally.example}")
    if tally.again:
        lines.append(f"{tally.again:,} times something had to be sent again")
    if tally.unsent:
        why = f": {tally.waiting}" if tally.waiting else ""
        lines.append(f"{tally.unsent:,} readings were not acknowledged when it was stopped{why}")
    begun = [fault for fault in fleet.faults if fault.start < until]
    if begun:
        named = ", ".join(map(name_of, begun[:10])) + (", …" if len(begun) > 10 else "")
        lines.append(f"{len(begun)} faults: {named}")
    return "\n".join(lines)
