"""Invariants that any test can check on its own devices."""

from typing import Any

from tests.conftest import Db

_VEHICLES = """
with rolled as (
    select bucket, vehicle_id, meter_id, readings, interval_readings, span_ms, resets, energy_mwh,
        soc_bp_min, soc_bp_max,
        battery_temp_cdeg_sum, battery_temp_cdeg_min, battery_temp_cdeg_max
    from vehicle_{rollup}
    where starts_with(vehicle_id, $1)
),
summed as (
    select date_bin('{size}', time, '2000-01-01 00:00:00+00'), vehicle_id, meter_id, count(*),
        count(*) filter (where register_mwh is null), coalesce(sum(span_ms), 0),
        count(*) filter (where reset), sum(energy_mwh), min(soc_bp), max(soc_bp),
        sum(battery_temp_cdeg), min(battery_temp_cdeg), max(battery_temp_cdeg)
    from vehicle_readings
    where starts_with(vehicle_id, $1)
    group by 1, 2, 3
)
(select 'only rolled up' as difference, r.* from (table rolled except all table summed) as r)
union all
(select 'only in history', s.* from (table summed except all table rolled) as s)
"""
_METERS = """
with rolled as (
    select bucket, meter_id, readings, interval_readings, span_ms, resets, energy_mwh,
        voltage_mv_sum, voltage_mv_min, voltage_mv_max
    from meter_{rollup}
    where starts_with(meter_id, $1)
),
summed as (
    select date_bin('{size}', time, '2000-01-01 00:00:00+00'), meter_id, count(*),
        count(*) filter (where register_mwh is null), coalesce(sum(span_ms), 0),
        count(*) filter (where reset), sum(energy_mwh),
        sum(voltage_mv), min(voltage_mv), max(voltage_mv)
    from meter_readings
    where starts_with(meter_id, $1)
    group by 1, 2
)
(select 'only rolled up' as difference, r.* from (table rolled except all table summed) as r)
union all
(select 'only in history', s.* from (table summed except all table rolled) as s)
"""
_UNSHARED = """
select m.bucket, m.meter_id, m.energy_mwh, sum(e.ac_mwh)
from meter_hourly as m
join vehicle_energy_hourly as e
    on e.bucket = m.bucket
    and e.meter_id = m.meter_id
where starts_with(m.meter_id, $1)
group by 1, 2, 3
having sum(e.dc_mwh) > 0
    and sum(e.ac_mwh) is distinct from m.energy_mwh
"""


def rollup_differences(db: Db, uid: str) -> list[Any]:
    """Rows in which a rollup and the same sum over history differ (invariant 4)."""
    return [
        row
        for sql in (_VEHICLES, _METERS)
        for rollup, size in (("hourly", "1 hour"), ("daily", "1 day"))
        for row in db.fetch(sql.format(rollup=rollup, size=size), uid)
    ]


def unshared_energy(db: Db, uid: str) -> list[Any]:
    """Hours in which the vehicles' shares do not add up to the meter's AC (invariant 5)."""
    return db.fetch(_UNSHARED, uid)
