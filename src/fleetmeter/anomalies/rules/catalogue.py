"""Lists the rules in the order in which the API shows them; a new rule is one more line."""

from typing import TYPE_CHECKING, Literal

from fleetmeter.anomalies.model import AnomalyKind
from fleetmeter.anomalies.rules.battery_cold_charging import BATTERY_COLD_CHARGING
from fleetmeter.anomalies.rules.battery_hot import BATTERY_HOT
from fleetmeter.anomalies.rules.clock_skew import CLOCK_SKEW
from fleetmeter.anomalies.rules.dc_exceeds_ac.rule import DC_EXCEEDS_AC
from fleetmeter.anomalies.rules.efficiency.drop import EFFICIENCY_DROP
from fleetmeter.anomalies.rules.efficiency.low import EFFICIENCY_LOW
from fleetmeter.anomalies.rules.power_implausible import POWER_IMPLAUSIBLE
from fleetmeter.anomalies.rules.readings_refused import READINGS_REFUSED
from fleetmeter.anomalies.rules.register_unstable import REGISTER_UNSTABLE
from fleetmeter.anomalies.rules.shared.rule import Phase, Rule
from fleetmeter.anomalies.rules.shared.sessions import ChargingState
from fleetmeter.anomalies.rules.shared.state import State, StateCodec
from fleetmeter.anomalies.rules.silence.meter_silent import METER_SILENT
from fleetmeter.anomalies.rules.silence.site_silent import SITE_SILENT
from fleetmeter.anomalies.rules.silence.vehicle_silent import VEHICLE_SILENT
from fleetmeter.anomalies.rules.soc_mismatch import SOC_MISMATCH
from fleetmeter.anomalies.rules.soc_scale import SOC_SCALE
from fleetmeter.anomalies.rules.soc_stuck import SOC_STUCK
from fleetmeter.anomalies.rules.standby_loss import STANDBY_LOSS
from fleetmeter.anomalies.rules.voltage_out_of_range import VOLTAGE_OUT_OF_RANGE

CATALOGUE: tuple[Rule, ...] = (
    EFFICIENCY_LOW,
    EFFICIENCY_DROP,
    DC_EXCEEDS_AC,
    STANDBY_LOSS,
    VEHICLE_SILENT,
    METER_SILENT,
    SITE_SILENT,
    VOLTAGE_OUT_OF_RANGE,
    BATTERY_HOT,
    BATTERY_COLD_CHARGING,
    SOC_MISMATCH,
    CLOCK_SKEW,
    POWER_IMPLAUSIBLE,
    SOC_STUCK,
    SOC_SCALE,
    REGISTER_UNSTABLE,
    READINGS_REFUSED,
)

RULES: dict[AnomalyKind, Rule] = {rule.kind: rule for rule in CATALOGUE}

if TYPE_CHECKING:
    CataloguedKind = AnomalyKind
else:
    CataloguedKind = Literal[tuple(RULES)]
"""A kind that has a rule. msgspec accepts no other, and OpenAPI lists them."""

STATES: tuple[type[State], ...] = tuple(
    dict.fromkeys((ChargingState, *(state for rule in CATALOGUE for state in rule.states)))
)
"""The types of states of a device: its charging session, and those of each rule."""

CODEC = StateCodec(STATES, CataloguedKind)
"""Encodes and decodes the states of a device."""


def rules_in(phase: Phase) -> tuple[Rule, ...]:
    """Return the rules of a phase."""
    return tuple(rule for rule in CATALOGUE if rule.phase == phase)
