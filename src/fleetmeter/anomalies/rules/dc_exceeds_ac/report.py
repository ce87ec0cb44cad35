"""Words the report about a vehicle whose DC exceeds the AC of its meter."""

from datetime import datetime

from fleetmeter.anomalies.rules.dc_exceeds_ac.case import Case, Finding

_WHOLE_S = 150
"""Resolution of offsets, seconds: curves show them to about two minutes."""


class Report:
    """The summary and the evidence of a vehicle that does not fit."""

    def __init__(
        self,
        case: Case,
        meter_id: str,
        found: Finding,
        begins: datetime,
        hour_mwh: tuple[int, int],
    ) -> None:
        """`hour_mwh`: DC and AC of the hour with the largest excess."""
        points = [p for p in case.vehicle_points[found.vehicle_id] if p.energy_mwh > 0]
        points = [p for p in points if p.time > begins]
        self.begins = begins
        self.since = points[0].time if points else begins
        dc_kwh = sum(p.energy_mwh for p in points) / 1e6
        at_meter = [p for p in case.meter_points if p.time >= self.since]
        ac_kwh = sum(p.energy_mwh for p in at_meter) / 1e6
        self.summary = (
            f"{found.vehicle_id} took {dc_kwh:.1f} kWh at {meter_id}, which metered "
            f"{ac_kwh:.1f} kWh since then: {_because(found, meter_id)}"
        )
        self.evidence = {
            "meterId": meter_id,
            "dcKwh": round(dc_kwh, 3),
            "acKwh": round(ac_kwh, 3),
            "hourDcKwh": round(hour_mwh[0] / 1e6, 3),
            "hourAcKwh": round(hour_mwh[1] / 1e6, 3),
        } | found.evidence


def _because(found: Finding, meter_id: str) -> str:
    evidence = found.evidence
    if found.cause == "wrong_meter":
        return f"the curve of {evidence['otherMeterId']} fits, so it probably charges there"
    if found.cause == "clock_offset":
        late_s, whose = evidence["offsetS"], evidence.get("clockOf")
        if whose == "meter":
            return f"the curves fit when the timestamps of {meter_id} are {_in_words(-late_s)}"
        other = "" if whose else f", or those of {meter_id} {_in_words(-late_s, short=True)}"
        return f"the curves fit when its timestamps are {_in_words(late_s)}{other}"
    if found.cause == "register_reset":
        return f"the register of {meter_id} began again ({evidence['resets']} times)"
    if found.cause == "missing_ac_readings":
        return f"readings of {meter_id} cover {evidence['coverageAc'] * 100:.0f} % of the time"
    if found.cause == "reporting_lag":
        return f"{meter_id} shows its energy late and in lumps"
    return "nothing that is known explains it"


def _in_words(offset_s: float, *, short: bool = False) -> str:
    """Return an offset in words; whole hours are a wrong time zone, or daylight saving time."""
    hours = round(offset_s / 3600)
    way = "late" if offset_s > 0 else "early"
    if hours and abs(offset_s - hours * 3600) <= _WHOLE_S:
        unit = "hour" if abs(hours) == 1 else "hours"
        why = "" if short else " (a wrong time zone, or daylight saving time)"
        return f"{abs(hours)} {unit} too {way}{why}"
    return f"{abs(offset_s):.0f} s too {way}"
