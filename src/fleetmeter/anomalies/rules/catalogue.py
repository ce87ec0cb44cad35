"""The rules by kind: what each says, and where its defaults come from."""

from typing import Literal

import msgspec

from fleetmeter.anomalies.model import DeviceKind, Kind, Severity
from fleetmeter.anomalies.thresholds import device_parameters as of_device
from fleetmeter.anomalies.thresholds import parameters as of
from fleetmeter.anomalies.thresholds.parameters import Parameters

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
        "al. 2013 advise 2.5 to 3 of them to find outliers; 5 points at least, for few alerts). "
        + _LOSSES,
        "warning",
        ("vehicle",),
        of.EfficiencyDrop,
    ),
    Rule(
        "dc_exceeds_ac",
        "More delivered than consumed",
        "In an hour that the meter covers, more DC was delivered at it than it metered AC. The "
        "readings say which vehicle and why: another meter's curve fits, the clocks differ, by up "
        "to 12 hours, readings are missing, the register was reset, or the meter reports late and "
        "in lumps.",
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
        "The meter of a charger counted a steady consumption for hours in which no vehicle there "
        "charged.",
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
        of_device.Silent,
    ),
    Rule(
        "meter_silent",
        "Meter silent",
        "No reading of a meter for many of its reporting intervals.",
        "A convention: half an hour for a device that reports every minute, longer than a restart "
        "or a short loss of connection.",
        "warning",
        ("meter",),
        of_device.Silent,
    ),
    Rule(
        "site_silent",
        "Site silent",
        "Most devices of a site are silent together, so that one alert says it instead of one "
        "each.",
        "A convention: at least three devices and four fifths of the site.",
        "critical",
        ("site",),
        of_device.SiteSilent,
    ),
    Rule(
        "voltage_out_of_range",
        "Voltage out of range",
        "A mean of ten minutes, of the worst phase, lay outside the nominal voltage and its "
        "tolerance. The nominal voltage is the one that is set, or the standard one that the "
        "meter's first day shows.",
        "EN 50160: means of ten minutes within 230 V ± 10 %. For ANSI C84.1 set tolerance 0.05 "
        "(range A of the service voltage: 114 to 126 V of 120 V).",
        "warning",
        ("meter",),
        of_device.VoltageOutOfRange,
    ),
    Rule(
        "battery_hot",
        "Battery hot",
        "The battery was too hot for minutes without a break.",
        "Lithium-ion cells are charged at up to 45 °C; above, they age fast.",
        "critical",
        ("vehicle",),
        of_device.BatteryHot,
    ),
    Rule(
        "battery_cold_charging",
        "Charging a cold battery",
        "The battery was charged below freezing for minutes without a break.",
        "Lithium-ion cells are charged from 0 °C up; below, metallic lithium plates the anode.",
        "warning",
        ("vehicle",),
        of_device.BatteryColdCharging,
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
        of_device.SocMismatch,
    ),
    Rule(
        "clock_skew",
        "Clock wrong",
        "A device's timestamps run ahead of or behind their arrival by a constant time.",
        "A convention: 5 minutes behind is more than batching and a slow network explain; ahead "
        "nothing explains, so a minute is enough. OCPP chargers set their clock by each heartbeat.",
        "warning",
        ("vehicle", "meter"),
        of_device.ClockSkew,
    ),
    Rule(
        "power_implausible",
        "Implausible power",
        "A device told more energy than can be: a meter above its rated power, any device above "
        "a megawatt. Where a thousandth of it would do, watt-hours are sent as kilowatt-hours.",
        "A convention: half as much again as the rated power leaves room for a rating that leaves "
        "out a phase or a second outlet; 15 minutes, for readings that come in lumps.",
        "warning",
        ("vehicle", "meter"),
        of_device.PowerImplausible,
    ),
    Rule(
        "soc_stuck",
        "State of charge stuck",
        "A session brought much energy, and the state of charge did not move.",
        "A state of charge is shown in steps of 0.1 to 1 %, seldom 5 %: 8 % of the battery, and 5 "
        "kWh where its capacity is not set, move it.",
        "info",
        ("vehicle",),
        of_device.SocStuck,
    ),
    Rule(
        "soc_scale",
        "State of charge of 0 to 1",
        "The state of charge stays between 0 and 1 % over a session, as if it were a ratio.",
        "5 kWh are more than a hundredth of any battery below 500 kWh; where the capacity is set, "
        "a hundred times the gain must fit the energy within a factor of 2.",
        "info",
        ("vehicle",),
        of_device.SocScale,
    ),
    Rule(
        "register_unstable",
        "Register unstable",
        "A register dipped, fluttered by more than 1 kWh or began again, many times within a day.",
        "A convention: a meter is exchanged or restarted once in years, and last digits flutter by "
        "1 kWh at most, the coarsest step that registers show.",
        "warning",
        ("vehicle", "meter"),
        of_device.RegisterUnstable,
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
        of_device.ReadingsRefused,
    ),
)

RULES: dict[Kind, Rule] = {rule.kind: rule for rule in _RULES}
