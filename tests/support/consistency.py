"""Invariants that any test can check on its own devices.

Each query returns what is wrong with devices whose ids begin with $1; no rows: nothing.
"""

from typing import Any

from tests.conftest import Db

_INTERVALS = """
mine as materialized (
    select *
    from devices
    where starts_with(id, $1)
),
intervals as materialized (
    select
        r.*,
        r.time - r.span_ms * interval '1 millisecond' as starts,
        date_bin('15 minutes', r.time - interval '1 microsecond', '2000-01-01 00:00:00+00')
            as quarter
    from readings as r
    where r.device in (select m.device from mine as m)
),
pieces as materialized (
    select
        s.*,
        date_bin('15 minutes', s.bucket, '2000-01-01 00:00:00+00') as quarter,
        least(
            s.ends,
            date_bin('15 minutes', s.bucket, '2000-01-01 00:00:00+00') + interval '15 minutes'
        ) as until
    from spread_energy as s
    where s.device in (select m.device from mine as m)
)
"""

_SUMS = """
    select
        date_bin('{size}', e.at, '2000-01-01 00:00:00+00') as bucket,
        e.device,
        e.meter,
        sum(e.readings) as readings,
        count(*) filter (where e.reset) as resets,
        sum(e.energy_mwh) as energy_mwh,
        sum(e.covered_ms) as covered_ms,
        min(e.soc_bp) as soc_bp_min,
        max(e.soc_bp) as soc_bp_max,
        count(e.battery_temp_cdeg) as battery_temp_cdeg_count,
        coalesce(sum(e.battery_temp_cdeg), 0) as battery_temp_cdeg_sum,
        min(e.battery_temp_cdeg) as battery_temp_cdeg_min,
        max(e.battery_temp_cdeg) as battery_temp_cdeg_max,
        count(e.voltage_mv) as voltage_mv_count,
        coalesce(sum(e.voltage_mv), 0) as voltage_mv_sum,
        min(e.voltage_mv) as voltage_mv_min,
        max(e.voltage_mv) as voltage_mv_max
    from (
        select
            i.quarter as at, i.device, i.meter, 1 as readings, i.reset,
            case when i.spread then 0 else i.energy_mwh end as energy_mwh,
            case when i.spread then 0 else coalesce(i.span_ms, 0) end as covered_ms,
            i.soc_bp, i.battery_temp_cdeg, i.voltage_mv
        from intervals as i
        union all
        select p.quarter, p.device, p.meter, 0, false, p.energy_mwh, p.covered_ms, null, null, null
        from pieces as p
    ) as e
    group by 1, 2, 3
"""

_DIFFERENCES = """
(select 'only rolled up' as difference, r.* from (table rolled except all table summed) as r)
union all
(select 'only in history', s.* from (table summed except all table rolled) as s)
"""

_ROLLUP = f"""
with {_INTERVALS},
rolled as (
    select
        v.bucket, v.device, v.meter, v.readings::numeric, v.resets, v.energy_mwh::numeric,
        v.covered_ms::numeric, v.soc_bp_min, v.soc_bp_max, coalesce(v.battery_temp_cdeg_count, 0),
        coalesce(v.battery_temp_cdeg_sum, 0), v.battery_temp_cdeg_min, v.battery_temp_cdeg_max,
        coalesce(v.voltage_mv_count, 0), coalesce(v.voltage_mv_sum, 0), v.voltage_mv_min,
        v.voltage_mv_max
    from {{view}} as v
    where v.device in (select m.device from mine as m)
),
summed as ({_SUMS})
{_DIFFERENCES}
"""

_VEHICLES = f"""
with {_INTERVALS},
rolled as (
    select
        bucket, vehicle_id, meter_id, readings::numeric, resets, energy_mwh::numeric,
        covered_ms::numeric, soc_bp_min, soc_bp_max, coalesce(battery_temp_cdeg_sum, 0),
        battery_temp_cdeg_min, battery_temp_cdeg_max
    from vehicle_{{view}}
    where starts_with(vehicle_id, $1)
),
by_number as ({_SUMS}),
summed as (
    select
        s.bucket, d.id as vehicle_id, m.id as meter_id, s.readings, s.resets, s.energy_mwh,
        s.covered_ms, s.soc_bp_min, s.soc_bp_max, s.battery_temp_cdeg_sum, s.battery_temp_cdeg_min,
        s.battery_temp_cdeg_max
    from by_number as s
    join mine as d on d.device = s.device and d.kind = 'vehicle'
    left join devices as m on m.device = s.meter
)
{_DIFFERENCES}
"""

_METERS = f"""
with {_INTERVALS},
rolled as (
    select
        bucket, meter_id, readings::numeric, resets, energy_mwh::numeric, covered_ms::numeric,
        coalesce(voltage_mv_sum, 0), voltage_mv_min, voltage_mv_max
    from meter_{{view}}
    where starts_with(meter_id, $1)
),
by_number as ({_SUMS}),
summed as (
    select
        s.bucket, d.id as meter_id, s.readings, s.resets, s.energy_mwh, s.covered_ms,
        s.voltage_mv_sum, s.voltage_mv_min, s.voltage_mv_max
    from by_number as s
    join mine as d on d.device = s.device and d.kind = 'meter'
)
{_DIFFERENCES}
"""

_PIECES = f"""
with {_INTERVALS},
whole as (
    select
        p.device,
        p.ends,
        min(p.starts) as starts,
        max(p.until) as until,
        sum(p.energy_mwh) as energy_mwh,
        sum(p.covered_ms) as covered_ms,
        array_agg(distinct p.meter) as meters,
        bool_and(p.follows and p.starts >= p.quarter and p.starts <= p.until) as is_gapless
    from (
        select
            o.*,
            coalesce(lag(o.until) over by_time, o.starts) = o.starts as follows
        from pieces as o
        window by_time as (partition by o.device, o.ends order by o.bucket)
    ) as p
    group by 1, 2
)
select
    'the pieces are not the interval' as wrong,
    coalesce(i.device, w.device) as device,
    coalesce(i.time, w.ends) as time
from (select * from intervals where spread) as i
full join whole as w
    on w.device = i.device
    and w.ends = i.time
where (
    i.energy_mwh = w.energy_mwh
    and i.starts = w.starts
    and i.time = w.until
    and array[i.meter] = w.meters
    and w.is_gapless
    and w.covered_ms <= i.span_ms
    and (w.covered_ms = i.span_ms or i.interval_start is not null)
) is not true
union all
select 'it crosses a quarter hour, and is not spread', i.device, i.time
from intervals as i
where not i.spread
    and i.starts < i.quarter
union all
-- of an interval that is stamped to the millisecond, each part is its share to the milliwatt-hour
select 'it is not spread evenly', p.device, p.ends
from pieces as p
join intervals as i
    on i.device = p.device
    and i.time = p.ends
where date_trunc('milliseconds', i.time) = i.time
    and abs(
        p.energy_mwh * i.span_ms - i.energy_mwh * extract(epoch from p.until - p.starts) * 1000
    ) >= i.span_ms
"""

_COVERAGE = f"""
with {_INTERVALS},
counted as (
    select c.device, c.quarter, sum(c.covered_ms) as covered_ms
    from (
        select i.device, i.quarter, i.span_ms as covered_ms
        from intervals as i
        where not i.spread
        union all
        select p.device, p.quarter, p.covered_ms
        from pieces as p
    ) as c
    group by 1, 2
),
parts as (
    select
        i.device,
        q.quarter,
        tstzrange(
            greatest(i.starts, q.quarter), least(i.time, q.quarter + interval '15 minutes')
        ) as part,
        bool_or(date_trunc('milliseconds', i.time) <> i.time) over (partition by i.device)
            as is_rounded
    from intervals as i
    cross join lateral generate_series(
        date_bin('15 minutes', i.starts, '2000-01-01 00:00:00+00'), i.quarter, interval '15 minutes'
    ) as q (quarter)
    where i.span_ms > 0
),
unions as (
    select
        u.device,
        u.quarter,
        u.roundings,
        sum(extract(epoch from upper(r.range) - lower(r.range)) * 1000) as ms
    from (
        select
            p.device,
            p.quarter,
            range_agg(p.part) as ranges,
            -- interval lengths are whole milliseconds, and so are the parts of each
            2 * count(*) filter (where p.is_rounded) as roundings
        from parts as p
        group by 1, 2
    ) as u
    cross join lateral unnest(u.ranges) as r (range)
    group by 1, 2, 3
)
select
    'time is not covered once' as wrong,
    coalesce(c.device, u.device) as device,
    coalesce(c.quarter, u.quarter) as quarter,
    c.covered_ms,
    u.ms
from (select * from counted where covered_ms > 0) as c
full join unions as u
    on u.device = c.device
    and u.quarter = c.quarter
where (abs(c.covered_ms - u.ms) <= u.roundings) is not true
    and (c.device is not null or u.ms > u.roundings)
"""

_UNSHARED = """
with quarters as (
    select
        q.bucket,
        coalesce(q.meter, q.device) as meter,
        sum(q.energy_mwh) filter (where d.kind = 'meter') as ac_mwh,
        sum(q.energy_mwh) filter (where d.kind = 'vehicle') as dc_mwh
    from quarter_hours as q
    join devices as d
        on d.device = q.device
    join devices as m
        on m.device = coalesce(q.meter, q.device)
    where m.kind = 'meter'
        and starts_with(m.id, $1)
    group by 1, 2
),
hours as (
    select
        date_bin('1 hour', q.bucket, '2000-01-01 00:00:00+00') as bucket,
        m.id as meter_id,
        sum(q.ac_mwh) filter (where q.dc_mwh > 0) as charged_mwh
    from quarters as q
    join devices as m
        on m.device = q.meter
    group by 1, 2
)
select h.bucket, h.meter_id, h.charged_mwh, sum(e.ac_mwh)
from hours as h
join vehicle_energy_hourly as e
    on e.bucket = h.bucket
    and e.meter_id = h.meter_id
group by 1, 2, 3
having coalesce(sum(e.ac_mwh), 0) <> coalesce(h.charged_mwh, 0)
"""

_UNSHARED_QUARTERS = """
with mine as (
    select array_agg(d.device) as devices
    from devices as d
    where starts_with(d.id, $1)
),
bounds as (
    select min(r.time) - interval '400 days' as since, max(r.time) + interval '1 hour' as until
    from readings as r
    where r.device = any((select m.devices from mine as m)::integer[])
),
shared as (
    select
        e.bucket,
        e.meter,
        sum(e.ac_mwh) as ac_mwh,
        sum(e.ac_mwh) filter (where e.vehicle is not null) as shared_mwh,
        sum(e.dc_mwh) as dc_mwh
    from mine as m
    cross join bounds as b
    cross join lateral energy_slices(
        m.devices, b.since, b.until, interval '15 minutes', 0.9, '-infinity'
    ) as e
    where e.meter = any(m.devices)
    group by 1, 2
)
select s.bucket, s.meter, s.dc_mwh, s.ac_mwh, s.shared_mwh, q.energy_mwh
from shared as s
left join quarter_hours as q
    on q.device = s.meter
    and q.bucket = s.bucket
where s.ac_mwh is distinct from q.energy_mwh
    or s.dc_mwh > 0 and s.shared_mwh is distinct from q.energy_mwh
    or coalesce(s.dc_mwh, 0) = 0 and s.shared_mwh > 0
"""


def rollup_differences(db: Db, uid: str) -> list[Any]:
    """Return where rollups are not what history adds up to (invariant 4), or intervals not whole.

    What a quarter hour has is the energy of the readings stamped in it that are not spread, and the
    pieces of those that are; the pieces of a reading add up to it and cover it exactly, and what
    devices cover is the union of their intervals.
    """
    return [
        row
        for sql in (_ROLLUP, _VEHICLES, _METERS)
        for view, size in _VIEWS[sql]
        for row in db.fetch(sql.format(view=view, size=size), uid)
    ] + interval_differences(db, uid)


_VIEWS = {
    _ROLLUP: (("quarter_hours", "15 minutes"), ("hours", "1 hour"), ("days", "1 day")),
    _VEHICLES: (("hourly", "1 hour"), ("daily", "1 day")),
    _METERS: (("hourly", "1 hour"), ("daily", "1 day")),
}


def interval_differences(db: Db, uid: str) -> list[Any]:
    """Return readings whose pieces are not their interval, and time that is not counted once."""
    return db.fetch(_PIECES, uid) + db.fetch(_COVERAGE, uid)


def unshared_energy(db: Db, uid: str) -> list[Any]:
    """Return where the vehicles' shares do not add up to the meter's AC (invariant 5).

    By quarter hours, as answers share it out, and by hours, as the views do.
    """
    return db.fetch(_UNSHARED, uid) + db.fetch(_UNSHARED_QUARTERS, uid)
