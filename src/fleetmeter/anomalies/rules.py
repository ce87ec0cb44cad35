"""The rules by kind: what each says, where its defaults come from, and which thresholds are in
force where."""

from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from fleetmeter.anomalies import parameters as of
from fleetmeter.anomalies.model import DeviceKind, Kind, Severity, Subject
from fleetmeter.anomalies.parameters import Parameters

Scope = Literal["fleet", "site", "vehicle", "meter"]


class Rule(msgspec.Struct, frozen=True):
    """A rule as people see it."""

    kind: Kind
    title: str
    description: str
    source: str
    """Where the defaults come from."""

    severity: Severity
    device_kinds: tuple[DeviceKind, ...]
    parameters: type[Parameters]


class Override(msgspec.Struct, frozen=True):
    """Thresholds that differ from the defaults in a part of the fleet."""

    kind: Kind
    scope: Scope
    target: str
    """The site, vehicle or meter; '' for the fleet."""

    parameters: dict[str, Any]
    """In camelCase; the rest stays as it is in the next wider scope."""


_LOSSES = (
    "ADAC measured four cars in 2022: 12.7 to 24.2 % lost at a 2.3 kW socket, 6.3 to 9.7 % at an "
    "11 kW wallbox, where 100 to 300 W of control electronics weigh less; the powers between "
    "follow from such a constant loss. Cold: VEIC found the difference between slow and fast AC "
    "charging to grow below 12 °C; 0.4 points per °C below 15 °C is deliberately generous."
)

_RULES = (
    Rule(
        "efficiency_low",
        "Efficiency too low",
        "A charging session delivered less DC for its AC than healthy vehicles do at that power. "
        "Judged by its full hours that both sides cover and in which the vehicle charged alone at "
        "its meter.",
        _LOSSES,
        "warning",
        ("vehicle",),
        of.EfficiencyLow,
    ),
    Rule(
        "efficiency_drop",
        "Efficiency dropped",
        "A charging session delivered less DC for its AC than the vehicle's own sessions of the "
        "last weeks did, each compared with what is expected at its power. When half of these are "
        "as low, that is the vehicle's usual.",
        "Median and median absolute deviation × 1.4826, the robust standard deviation (Leys et "
        "al. 2013 advise 2.5 to 3 of them to find outliers; 4, and 5 points at least, for few "
        "alerts). " + _LOSSES,
        "warning",
        ("vehicle",),
        of.EfficiencyDrop,
    ),
    Rule(
        "dc_exceeds_ac",
        "More delivered than consumed",
        "In an hour that the meter covers, more DC was delivered at it than it metered AC. The "
        "readings say which vehicle and why: another meter's curve fits, the clocks differ, "
        "readings are missing, the register was reset, or the meter reports late and in lumps.",
        "Energy is conserved, so any excess is an error. 4 % is what a meter of class B of EN "
        "50470 (1 to 2 %) and a vehicle's own measurement may differ by; 0.4 kWh is two minutes "
        "at 11 kW, what clocks and the edges of intervals may shift between hours.",
        "warning",
        ("vehicle",),
        of.DcExceedsAc,
    ),
    Rule(
        "standby_loss",
        "Consumption without charging",
        "A meter counted a steady consumption for hours in which no vehicle there charged.",
        "Chargers stand by at 2 to 20 W, with the electronics of a plugged vehicle less than 100 "
        "W in the mean. 6 hours, since conditioning of a cabin or battery takes one or two.",
        "info",
        ("meter",),
        of.StandbyLoss,
    ),
    Rule(
        "vehicle_silent",
        "Vehicle silent",
        "No reading of a vehicle for many of its reporting intervals.",
        "A convention: half an hour for a device that reports every minute, longer than a restart "
        "or a short loss of connection.",
        "warning",
        ("vehicle",),
        of.Silent,
    ),
    Rule(
        "meter_silent",
        "Meter silent",
        "No reading of a meter for many of its reporting intervals.",
        "A convention: half an hour for a device that reports every minute, longer than a restart "
        "or a short loss of connection.",
        "warning",
        ("meter",),
        of.Silent,
    ),
    Rule(
        "site_silent",
        "Site silent",
        "Most devices of a site are silent together, so that one alert says it instead of one "
        "each.",
        "A convention: at least three devices and four fifths of the site.",
        "critical",
        ("site",),
        of.SiteSilent,
    ),
    Rule(
        "voltage_out_of_range",
        "Voltage out of range",
        "A mean of ten minutes, of the worst phase, lay outside the nominal voltage and its "
        "tolerance.",
        "EN 50160: means of ten minutes within 230 V ± 10 %. For ANSI C84.1 set nominalV 120 and "
        "tolerance 0.05 (range A of the service voltage: 114 to 126 V).",
        "warning",
        ("meter",),
        of.VoltageOutOfRange,
    ),
    Rule(
        "battery_hot",
        "Battery hot",
        "The battery was too hot for minutes without a break.",
        "Lithium-ion cells are charged at up to 45 °C; above, they age fast.",
        "critical",
        ("vehicle",),
        of.BatteryHot,
    ),
    Rule(
        "battery_cold_charging",
        "Charging a cold battery",
        "The battery was charged below freezing for minutes without a break.",
        "Lithium-ion cells are charged from 0 °C up; below, metallic lithium plates the anode.",
        "warning",
        ("vehicle",),
        of.BatteryColdCharging,
    ),
    Rule(
        "soc_mismatch",
        "Energy and state of charge disagree",
        "The DC of a session is not what its gain in state of charge takes at the battery's "
        "capacity.",
        "State of charge is estimated to ± 1 to 5 % (EV Pro+ 2026), a tenth or two of a gain of "
        "15 points or more; a battery below 80 % of its capacity is at the end of its life by "
        "common convention.",
        "info",
        ("vehicle",),
        of.SocMismatch,
    ),
    Rule(
        "clock_skew",
        "Clock wrong",
        "A device's timestamps run ahead of or behind their arrival by a constant time.",
        "A convention: 5 minutes behind is more than batching and a slow network explain; ahead "
        "nothing explains, so a minute is enough. OCPP chargers set their clock by each heartbeat.",
        "warning",
        ("vehicle", "meter"),
        of.ClockSkew,
    ),
    Rule(
        "readings_refused",
        "Readings refused",
        "Readings of a device have been refused for longer than a service that restarts or a "
        "mistake that is put right would explain: its clock, its id or a unit cannot be.",
        "A convention: an hour. It is over when readings are accepted and none was refused for a "
        "quarter of an hour or two reporting intervals, or when none was refused for 25 hours.",
        "warning",
        ("vehicle", "meter"),
        of.ReadingsRefused,
    ),
)

RULES: dict[Kind, Rule] = {rule.kind: rule for rule in _RULES}


def merged(kind: Kind, parameters: dict[str, Any]) -> Parameters:
    """The defaults of a rule with some parameters (camelCase) replaced.

    msgspec.ValidationError: a name that there is not, or a value that cannot be.
    """
    return msgspec.convert(parameters, RULES[kind].parameters)


class Rulebook:
    """The thresholds in force for each device: its own over its site's over the fleet's over the
    defaults."""

    def __init__(self, overrides: Sequence[Override] = ()) -> None:
        self._own: dict[tuple[Kind, Scope, str], dict[str, Any]] = {
            (override.kind, override.scope, override.target): override.parameters
            for override in overrides
        }
        self._fleet: dict[Kind, Parameters] = {
            kind: self._resolved(kind, (("fleet", ""),)) for kind in RULES
        }
        narrower = {override.kind for override in overrides if override.scope != "fleet"}
        self._everywhere = {kind: p for kind, p in self._fleet.items() if kind not in narrower}
        self.switched_off = {
            override.kind for override in overrides if override.parameters.get("enabled") is False
        }
        """Rules that are not applied in some part of the fleet."""

        self._cache: dict[tuple[Kind, Subject, str | None], Parameters] = {}

    def everywhere(self, kind: Kind) -> Parameters | None:
        """The thresholds of the whole fleet, when they are the same for all of it."""
        return self._everywhere.get(kind)

    def of(self, kind: Kind, subject: Subject, site: str | None) -> Parameters:
        """The thresholds for a device, or for a site."""
        same = self._everywhere.get(kind)
        if same is not None:
            return same
        key = (kind, subject, site)
        found = self._cache.get(key)
        if found is None:
            found = self._cache[key] = self._narrow(kind, subject, site)
        return found

    def _narrow(self, kind: Kind, subject: Subject, site: str | None) -> Parameters:
        scopes: list[tuple[Scope, str]] = [("fleet", "")]
        if subject.device_kind == "site":
            scopes.append(("site", subject.device_id))
        else:
            if site is not None:
                scopes.append(("site", site))
            scopes.append((subject.device_kind, subject.device_id))
        return self._resolved(kind, scopes)

    def _resolved(self, kind: Kind, scopes: Sequence[tuple[Scope, str]]) -> Parameters:
        """Field by field, the last scope wins; one that contradicts the wider ones is left out."""
        fields: dict[str, Any] = {}
        resolved = merged(kind, fields)
        for scope, target in scopes:
            own = self._own.get((kind, scope, target))
            if own:
                try:
                    resolved = merged(kind, fields | own)
                except msgspec.ValidationError:
                    continue
                fields |= own
        return resolved
