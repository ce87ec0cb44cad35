"""Turns meter values of an outlet into readings of its meter, and of the vehicle at it. Pure."""

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from fleetmeter.inputs.mapping.charge_points import Outlet
from fleetmeter.inputs.mapping.rules import Untaken
from fleetmeter.inputs.ocpp.payloads import MeterValue
from fleetmeter.readings.decode import Item
from fleetmeter.readings.ids import is_session_id
from fleetmeter.readings.ocpp import (
    ENERGY,
    INLET,
    OUTLET,
    STORED,
    Number,
    SampledValue,
    Values,
    is_stored_of,
    is_unit,
    time_of,
    unit_of,
    values_of,
)
from fleetmeter.readings.telemetry import Telemetry
from fleetmeter.readings.validate import Invalid

_MOST_MOMENTS = 10_000
"""Moments of a message whose values are put together."""

_MOST_VALUES = 500
"""Values of a moment; chargers have some ten."""

_LONGEST_AGE = timedelta(days=36_600)
"""How much older than the newest value of a message another can be, as history is kept for less."""

_MOST_OUTLETS = 100
"""Outlets of a charge point of which it is remembered what counts their energy."""

_MOST_CONTEXT = 50
"""Characters by which contexts are told apart; the longest of the standard has 18."""

_INTERVALS = ("Energy.Active.Import.Interval", "Energy.Active.Export.Interval")
_OF_TRANSACTION = ("Transaction.Begin", "Transaction.End", None)

_NOT_OF_DC = (
    ("Energy.Active.Import.Interval", ("interval",)),
    ("Energy.Active.Export.Register", ("exported",)),
    ("Energy.Active.Export.Interval", ("exported_interval",)),
    ("Voltage", ("voltage", "voltage_l1", "voltage_l2", "voltage_l3")),
)
"""Measurands of an outlet that are not stored with `measures = "dc"`, and their values."""

_KILO = 1000.0

Note = Callable[[Untaken], None]
"""Counts what is not taken."""


class Charging(NamedTuple):
    """The transaction that values belong to."""

    session_id: str | None
    vehicle_id: str | None
    register_start_kwh: float | None


NO_CHARGING = Charging(None, None, None)


class Moment(NamedTuple):
    """What an outlet measured at one moment."""

    time: datetime
    sampled: list[SampledValue]


def moments_of(
    values: Iterable[MeterValue], arrival: datetime, *, by_arrival: bool
) -> tuple[list[Moment], list[Invalid]]:
    """Return the values of each moment, oldest first, and what is wrong with times that are none.

    Values of one moment come together or each by itself. Without a time, or `by_arrival`, the
    newest are of now, and the others as much older as they say.
    """
    found: dict[datetime, list[SampledValue]] = {}
    invalid: list[Invalid] = []
    for each in values:
        if each.timestamp is None:
            time: datetime | None = arrival
        else:
            time = time_of(each.timestamp)
        if time is None and not by_arrival:
            wrong = Invalid(
                "invalid_timestamp", f"timestamp is {str(each.timestamp)[:60]!r}, which is no time"
            )
            invalid.append(wrong)
        elif time in found or len(found) < _MOST_MOMENTS:
            found.setdefault(time or arrival, []).extend(each.sampledValue)
    if not (by_arrival and found):
        return [Moment(time, found[time]) for time in sorted(found)], invalid
    newest, moments = max(found), []
    for time in sorted(found):
        if (age := newest - time) < _LONGEST_AGE:
            moments.append(Moment(arrival - age, found[time]))
        else:
            why = f"timestamp is {age.days} days before the newest of the message"
            invalid.append(Invalid("invalid_timestamp", why))
    return moments, invalid


def counted_once(moments: Iterable[Moment], counted: dict[int, str], connector: int) -> None:
    """Leave out intervals that something else counts already.

    That is a register, or intervals of another context: some chargers send those between moments
    of the clock beside those of a transaction. `counted` remembers it of each outlet.
    """
    for moment in moments:
        for each in moment.sampled:
            if each.measurand in (None, ENERGY):
                _remember(counted, connector, ENERGY)
        kept = []
        for each in moment.sampled:
            if each.measurand in _INTERVALS:
                context = str(each.context)[:_MOST_CONTEXT]
                if each.context in _OF_TRANSACTION:
                    context = "Sample.Periodic"
                if connector not in counted:
                    _remember(counted, connector, context)
                if counted[connector] != context:
                    continue
            kept.append(each)
        moment.sampled[:] = kept


def _remember(counted: dict[int, str], connector: int, what: str) -> None:
    if connector not in counted and len(counted) >= _MOST_OUTLETS:
        counted.clear()
    counted[connector] = what


def readings_of(
    outlet: Outlet, charging: Charging, moments: Iterable[Moment], note: Note
) -> list[Item]:
    """Return the readings that some moments give."""
    items: list[Item] = []
    places = (*OUTLET, *INLET)
    for moment in moments:
        if len(moment.sampled) > _MOST_VALUES:
            note(Untaken("malformed", f"more than {_MOST_VALUES} values of a moment"))
            del moment.sampled[_MOST_VALUES:]
        for each in moment.sampled:
            measurand = ENERGY if each.measurand is None else str(each.measurand)
            if measurand not in STORED:
                note(Untaken("no_field", measurand))
            elif each.format != "SignedData" and not is_unit(unit := unit_of(each)[0]):
                note(Untaken("no_field", f"{measurand} in {unit}"))
            elif not is_stored_of(measurand, each.location, places):
                note(Untaken("no_field", f"{measurand} at {each.location}"))
        of = _dc_items if outlet.rule.measures == "dc" else _ac_items
        items += of(outlet, charging, moment, note)
    return items


def register_kwh(outlet: Outlet, sampled: Iterable[SampledValue]) -> float | None:
    """Return what the register of an outlet shows."""
    found = values_of(sampled, OUTLET, outlet.rule.energyUnit).register
    if found is None and outlet.rule.measures == "ac":
        found = values_of(sampled, INLET, outlet.rule.energyUnit).register
    return found / _KILO if isinstance(found, float) else None


def _ac_items(outlet: Outlet, charging: Charging, moment: Moment, note: Note) -> list[Item]:
    found = values_of(moment.sampled, unnamed_energy=outlet.rule.energyUnit)
    items = _metered(outlet, charging, moment.time, found, note)
    return items + _of_vehicle(charging, moment.time, found, note, {})


def _dc_items(outlet: Outlet, charging: Charging, moment: Moment, note: Note) -> list[Item]:
    """Return readings where the outlet measures what reaches the vehicle."""
    grid = values_of(moment.sampled, INLET, outlet.rule.energyUnit)
    items = _metered(outlet, charging, moment.time, grid, note)
    found = values_of(moment.sampled, OUTLET, outlet.rule.energyUnit)
    energy: dict[str, Any] = {}
    start_kwh = charging.register_start_kwh
    register = _number(found.register, ENERGY, note)
    if register is not None and charging.session_id is not None:
        if start_kwh is None:
            note(Untaken("no_register", "a transaction without a register at its start"))
        elif register / _KILO < start_kwh:
            note(Untaken("no_register", "a register below what it was at the transaction's start"))
        else:
            energy["kwh_delivered_dc_total"] = register / _KILO - start_kwh
            energy["meter_id"] = outlet.meter_id  # also at the end, when it is assigned no more
    elif register is not None:
        note(Untaken("no_vehicle", f"{ENERGY} beside a transaction"))
    for measurand, given in _NOT_OF_DC:
        if any(getattr(found, name) is not None for name in given):
            note(Untaken("no_field", f"{measurand} of a DC outlet"))
    power = _number(found.power, "Power.Active.Import", note)
    if power is not None and charging.vehicle_id is not None:
        energy["power_kw"] = power / _KILO
    return items + _of_vehicle(charging, moment.time, found, note, energy)


def _metered(
    outlet: Outlet, charging: Charging, time: datetime, found: Values, note: Note
) -> list[Item]:
    """Return the reading of the meter, if it has measured something."""
    values = {
        "kwh_consumed_ac_total": _scaled(found.register, ENERGY, note),
        "kwh_consumed_ac": _scaled(found.interval, "Energy.Active.Import.Interval", note),
        "kwh_exported_ac_total": _scaled(found.exported, "Energy.Active.Export.Register", note),
        "kwh_exported_ac": _scaled(found.exported_interval, "Energy.Active.Export.Interval", note),
        "power_kw": _scaled(found.power, "Power.Active.Import", note),
        "voltage": _number(found.voltage, "Voltage", note),
        "voltage_l1": _number(found.voltage_l1, "Voltage", note),
        "voltage_l2": _number(found.voltage_l2, "Voltage", note),
        "voltage_l3": _number(found.voltage_l3, "Voltage", note),
    }
    given = {name: value for name, value in values.items() if value is not None}
    if not given:
        return []
    session_id = charging.session_id
    return [Telemetry(meter_id=outlet.meter_id, session_id=session_id, timestamp=time, **given)]


def _of_vehicle(
    charging: Charging, time: datetime, found: Values, note: Note, energy: dict[str, Any]
) -> list[Item]:
    """Return the reading of the vehicle, if it is known and something was measured of it."""
    soc = _number(found.soc, "SoC", note)
    temperature = _number(found.temperature, "Temperature", note)
    given = energy | ({} if soc is None else {"soc": soc})
    if temperature is not None:
        given["battery_temp"] = temperature
    if not given:
        return []
    if charging.vehicle_id is None:
        note(Untaken("no_vehicle", "a token that stands for no vehicle"))
        return []
    return [
        Telemetry(
            vehicle_id=charging.vehicle_id,
            session_id=charging.session_id,
            timestamp=time,
            **given,
        )
    ]


def _scaled(value: Number, measurand: str, note: Note) -> float | None:
    number = _number(value, measurand, note)
    return None if number is None else number / _KILO


def _number(value: Number, measurand: str, note: Note) -> float | None:
    if isinstance(value, str):
        note(Untaken("not_a_number", measurand))
        return None
    return value


def session_id_of(transaction_id: object) -> str | None:
    """Return what readings call a transaction; None for an id that they cannot have."""
    text = str(transaction_id)
    return text if is_session_id(text) else None
