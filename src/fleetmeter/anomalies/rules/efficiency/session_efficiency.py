"""Measures how well a session charged: DC ÷ AC against what its power and temperature promise.

Only hours count that both sides cover and in which the vehicle was alone at its meter: in a shared
hour AC is apportioned in proportion to DC, so that a healthy vehicle beside a bad one would look
bad as well. Of these the steady ones say most: neither the first nor the last, nor just after
somebody else, and with as much DC as any of the session. Their power is known, and they have
neither the heating before a session nor its end nor energy that the edges of intervals moved.

A cabin that is heated or cooled draws from the meter as well, for an hour or two. So a session is
as good as its third hour from below (or the middle one). Beside others, who may do the same one
after the other, it is as good as its best, and takes three hours to say anything. A session without
steady hours (of less than about two hours) is judged by all of it, by the lowest power that it can
have had, and only when its battery was never cold.
"""

from bisect import bisect_left
from collections.abc import Sequence
from operator import mul
from typing import NamedTuple

from fleetmeter.anomalies.rules.efficiency.thresholds import Efficiency
from fleetmeter.anomalies.rules.shared.sessions import HourlySession, SessionHour

_STEADY = 0.8
"""Part of the highest hour's DC; an hour with at least that was charged through at one power."""

EARLY_HOURS = 2
"""Number of steady hours that suffice to judge a session in progress."""

_DISTURBED = 2
"""Hours in which something else may have drawn from the meter."""

_WARM_C = 5.0
"""A battery that was never colder was not heated before it was charged."""

_FLAT = 0.005
"""If the table rises by less, the actual power of a session does not matter."""


class SessionEfficiency(NamedTuple):
    """The efficiency of a session, and the expected one."""

    efficiency: float
    expected: float
    best: float
    """Efficiency less expected, as good as it may be: of hours that nothing disturbed, or of
    all."""

    is_short: bool
    """It was judged by its total, for lack of steady hours: two of these in a row are needed."""

    is_sure: bool
    """Its power is known, or does not matter."""

    cold: float
    """Efficiency that the cold may have cost."""

    hours: list[SessionHour]
    """The hours it was measured over."""

    power_kw: float
    """Mean AC power."""

    temp_c: float | None

    @property
    def residual(self) -> float:
        """Efficiency less expected."""
        return self.efficiency - self.expected

    @property
    def ac_kwh(self) -> float:
        """AC that was compared, kWh."""
        return _total(self.hours) / 1e6

    @property
    def dc_kwh(self) -> float:
        """DC that was compared, kWh."""
        return sum(hour.dc_mwh for hour in self.hours) / 1e6


def expected(bands: Sequence[tuple[float, float]], power_kw: float) -> float:
    """Interpolate the efficiency at an AC power in straight lines between the points of a table."""
    at = bisect_left(bands, (power_kw,))
    if at == 0:
        return bands[0][1]
    if at == len(bands):
        return bands[-1][1]
    (low_kw, low), (high_kw, high) = bands[at - 1], bands[at]
    return low + (high - low) * (power_kw - low_kw) / (high_kw - low_kw)


def cold_allowance(thresholds: Efficiency, temp_c: float | None) -> float:
    """Return the efficiency that the cold may cost: a part for each °C, up to a limit; all of it
    when nobody knows how cold it was."""
    if temp_c is None:
        return thresholds.cold_at_most
    below = max(0.0, thresholds.cold_below_c - temp_c)
    return min(thresholds.cold_at_most, below * thresholds.cold_per_c)


def measured(
    session: HourlySession, thresholds: Efficiency, is_over: bool
) -> SessionEfficiency | None:
    """Measure the efficiency of a session; None: too little can be compared, or it says nothing."""
    compared = [hour for hour in session.hours if hour.ac_mwh]
    least_mwh = thresholds.minimum_kwh * 1e6
    if session.doubtful or _total(compared) < least_mwh:
        return None
    steady = _steady(session, is_over)
    if _total(steady) >= least_mwh:
        enough = _DISTURBED + 1 if session.is_shared else 1 if is_over else EARLY_HOURS
        if len(steady) >= enough:
            return _of_steady(session, thresholds, steady, compared)
    elif (
        is_over
        and not session.is_shared
        and _total(compared) >= 2 * least_mwh
        and len(compared) == len(session.hours)
    ):
        return _of_all(session, thresholds, compared)
    return None


def _steady(session: HourlySession, is_over: bool) -> list[SessionHour]:
    """Return hours that are neither the first nor the last, with as much DC as any."""
    inner = [hour for hour in session.hours[1 : -1 if is_over else None] if hour.ac_mwh]
    highest = max(hour.dc_mwh for hour in session.hours)
    return [hour for hour in inner if hour.dc_mwh >= highest * _STEADY]


def _of_steady(
    session: HourlySession,
    thresholds: Efficiency,
    steady: list[SessionHour],
    compared: list[SessionHour],
) -> SessionEfficiency:
    powers = [_ac(hour) / 1e6 for hour in steady]
    values = [expected(thresholds.expected, kw) for kw in powers]
    by_hour = [h.dc_mwh / _ac(h) - value for h, value in zip(steady, values, strict=True)]
    third = max(len(steady) // 2, min(_DISTURBED, len(steady) - 1))
    undisturbed = max(by_hour) if session.is_shared else sorted(by_hour)[third]
    of_all = _efficiency(compared) - _expected_of_all(session, thresholds, compared)
    efficiency = _efficiency(steady)
    value = sum(map(mul, values, powers)) / sum(powers)
    return SessionEfficiency(
        efficiency,
        value,
        max(efficiency - value, undisturbed, of_all),
        False,
        True,
        _cold(thresholds, steady),
        steady,
        sum(powers) / len(powers),
        _temp_c(steady),
    )


def _of_all(
    session: HourlySession, thresholds: Efficiency, compared: list[SessionHour]
) -> SessionEfficiency | None:
    if not all(_was_warm(hour) for hour in session.hours):
        return None
    highest_kw = max(_ac(hour) for hour in compared) / 1e6
    top = max(value for _, value in thresholds.expected)
    value = _expected_of_all(session, thresholds, compared)
    efficiency = _efficiency(compared)
    return SessionEfficiency(
        efficiency,
        value,
        efficiency - value,
        True,
        expected(thresholds.expected, highest_kw) >= top - _FLAT,
        _cold(thresholds, compared),
        compared,
        highest_kw,
        _temp_c(compared),
    )


def _was_warm(hour: SessionHour) -> bool:
    return hour.temp_min_c is not None and hour.temp_min_c >= _WARM_C


def _expected_of_all(
    session: HourlySession, thresholds: Efficiency, compared: list[SessionHour]
) -> float:
    """Weigh by energy; hours at both ends were charged as fast as any, for a part of the time."""
    edges = {session.hours[0].hour, session.hours[-1].hour}
    highest = max(_ac(hour) for hour in compared)
    return sum(
        _ac(hour)
        * expected(thresholds.expected, (highest if hour.hour in edges else _ac(hour)) / 1e6)
        for hour in compared
    ) / _total(compared)


def _ac(hour: SessionHour) -> int:
    return hour.ac_mwh or 0


def _total(hours: Sequence[SessionHour]) -> int:
    return sum(_ac(hour) for hour in hours)


def _efficiency(hours: Sequence[SessionHour]) -> float:
    return sum(hour.dc_mwh for hour in hours) / _total(hours)


def _temp_c(hours: Sequence[SessionHour]) -> float | None:
    """Weigh by energy the hours in which it was measured."""
    measured = [(hour.temp_c, _ac(hour)) for hour in hours if hour.temp_c is not None]
    if not measured:
        return None
    return sum(temp_c * ac for temp_c, ac in measured) / sum(ac for _, ac in measured)


def _cold(thresholds: Efficiency, hours: Sequence[SessionHour]) -> float:
    return cold_allowance(thresholds, _temp_c(hours))
