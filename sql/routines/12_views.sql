-- For people and Grafana: readings, live state and rollups of each kind of device, with ids instead of numbers.

create or replace view vehicle_readings as
select
    d.id as vehicle_id,
    r.time,
    r.energy_mwh,
    r.register_mwh,
    r.span_ms,
    r.reset and r.span_ms is null as reset,
    m.id as meter_id,
    r.meter_declared,
    -- each measurement of vehicle, last: r.{column},
    r.soc_bp, r.battery_temp_cdeg, r.power_w, r.odometer_m, r.reverse_mwh, r.reverse_register_mwh
    -- end
from readings as r
join devices as d
    on d.device = r.device
left join devices as m
    on m.device = r.meter
where d.kind = 'vehicle';

create or replace view meter_readings as
select
    d.id as meter_id,
    r.time,
    r.energy_mwh,
    r.register_mwh,
    r.span_ms,
    r.reset and r.span_ms is null as reset,
    -- each measurement of meter, last: r.{column},
    r.voltage_mv, r.voltage_l1_mv, r.voltage_l2_mv, r.voltage_l3_mv, r.power_w, r.reverse_mwh, r.reverse_register_mwh
    -- end
from readings as r
join devices as d
    on d.device = r.device
where d.kind = 'meter';

create or replace view vehicle_state as
select
    d.id as vehicle_id,
    s.time,
    s.energy_mwh,
    s.register_mwh,
    s.span_ms,
    s.reset and s.span_ms is null as reset,
    m.id as meter_id,
    s.meter_declared,
    s.last_seen,
    s.removed_at,
    -- each measurement of vehicle, last: s.{column},
    s.soc_bp, s.battery_temp_cdeg, s.power_w, s.odometer_m, s.reverse_mwh, s.reverse_register_mwh
    -- end
from live_state as s
join devices as d
    on d.device = s.device
left join devices as m
    on m.device = s.meter
where d.kind = 'vehicle';

create or replace view meter_state as
select
    d.id as meter_id,
    s.time,
    s.energy_mwh,
    s.register_mwh,
    s.span_ms,
    s.reset and s.span_ms is null as reset,
    s.last_seen,
    s.removed_at,
    -- each measurement of meter, last: s.{column},
    s.voltage_mv, s.voltage_l1_mv, s.voltage_l2_mv, s.voltage_l3_mv, s.power_w, s.reverse_mwh, s.reverse_register_mwh
    -- end
from live_state as s
join devices as d
    on d.device = s.device
where d.kind = 'meter';

create or replace view vehicle_settings as
select
    d.id as vehicle_id,
    d.label,
    d.site,
    d.reporting_interval_s,
    d.time_zone,
    d.battery_capacity_wh,
    d.register_rollover_mwh,
    coalesce(d.stamp_by_arrival, false) as stamp_by_arrival,
    d.reports,
    coalesce(d.register, 'lifetime') as register
from devices as d
where d.kind = 'vehicle';

create or replace view meter_settings as
select
    d.id as meter_id,
    d.label,
    d.site,
    d.reporting_interval_s,
    d.time_zone,
    coalesce(d.role, 'charger') as role,
    d.rated_power_w,
    d.register_rollover_mwh,
    coalesce(d.stamp_by_arrival, false) as stamp_by_arrival,
    d.reports,
    coalesce(d.register, 'lifetime') as register
from devices as d
where d.kind = 'meter';

-- Spread energy by quarter hour, with the columns of a rollup.
create or replace view spread_quarters as
select
    s.bucket,
    s.device,
    s.meter,
    0::bigint as readings,
    0::bigint as resets,
    s.energy_mwh,
    s.covered_ms,
    -- each rollup, last: null::{type} as {name},
    null::smallint as soc_bp_min, null::smallint as soc_bp_max, null::bigint as battery_temp_cdeg_count,
    null::bigint as battery_temp_cdeg_sum, null::smallint as battery_temp_cdeg_min,
    null::smallint as battery_temp_cdeg_max, null::bigint as power_w_count, null::bigint as power_w_sum,
    null::integer as power_w_min, null::integer as power_w_max, null::bigint as voltage_mv_count,
    null::bigint as voltage_mv_sum, null::integer as voltage_mv_min, null::integer as voltage_mv_max,
    null::bigint as voltage_l1_mv_count, null::bigint as voltage_l1_mv_sum, null::integer as voltage_l1_mv_min,
    null::integer as voltage_l1_mv_max, null::bigint as voltage_l2_mv_count, null::bigint as voltage_l2_mv_sum,
    null::integer as voltage_l2_mv_min, null::integer as voltage_l2_mv_max, null::bigint as voltage_l3_mv_count,
    null::bigint as voltage_l3_mv_sum, null::integer as voltage_l3_mv_min, null::integer as voltage_l3_mv_max
    -- end
from spread_energy as s;

-- The measurements of each device per quarter hour, hour and day of UTC: the rollups, and the spread energy.
create or replace view quarter_hours as
select
    quarter_of(e.bucket) as bucket,
    e.device,
    e.meter,
    sum(e.readings)::bigint as readings,
    sum(e.resets)::bigint as resets,
    sum(e.energy_mwh)::bigint as energy_mwh,
    sum(e.covered_ms)::bigint as covered_ms,
    -- each rollup, last: {of_rollup} as {name},
    min(soc_bp_min) as soc_bp_min, max(soc_bp_max) as soc_bp_max,
    sum(battery_temp_cdeg_count)::bigint as battery_temp_cdeg_count,
    sum(battery_temp_cdeg_sum)::bigint as battery_temp_cdeg_sum, min(battery_temp_cdeg_min) as battery_temp_cdeg_min,
    max(battery_temp_cdeg_max) as battery_temp_cdeg_max, sum(power_w_count)::bigint as power_w_count,
    sum(power_w_sum)::bigint as power_w_sum, min(power_w_min) as power_w_min, max(power_w_max) as power_w_max,
    sum(voltage_mv_count)::bigint as voltage_mv_count, sum(voltage_mv_sum)::bigint as voltage_mv_sum,
    min(voltage_mv_min) as voltage_mv_min, max(voltage_mv_max) as voltage_mv_max,
    sum(voltage_l1_mv_count)::bigint as voltage_l1_mv_count, sum(voltage_l1_mv_sum)::bigint as voltage_l1_mv_sum,
    min(voltage_l1_mv_min) as voltage_l1_mv_min, max(voltage_l1_mv_max) as voltage_l1_mv_max,
    sum(voltage_l2_mv_count)::bigint as voltage_l2_mv_count, sum(voltage_l2_mv_sum)::bigint as voltage_l2_mv_sum,
    min(voltage_l2_mv_min) as voltage_l2_mv_min, max(voltage_l2_mv_max) as voltage_l2_mv_max,
    sum(voltage_l3_mv_count)::bigint as voltage_l3_mv_count, sum(voltage_l3_mv_sum)::bigint as voltage_l3_mv_sum,
    min(voltage_l3_mv_min) as voltage_l3_mv_min, max(voltage_l3_mv_max) as voltage_l3_mv_max
    -- end
from (
    select *
    from quarter_hourly
    union all
    select *
    from spread_quarters
) as e
group by 1, 2, 3;

create or replace view hours as
select
    hour_of(e.bucket) as bucket,
    e.device,
    e.meter,
    sum(e.readings)::bigint as readings,
    sum(e.resets)::bigint as resets,
    sum(e.energy_mwh)::bigint as energy_mwh,
    sum(e.covered_ms)::bigint as covered_ms,
    -- each rollup, last: {of_rollup} as {name},
    min(soc_bp_min) as soc_bp_min, max(soc_bp_max) as soc_bp_max,
    sum(battery_temp_cdeg_count)::bigint as battery_temp_cdeg_count,
    sum(battery_temp_cdeg_sum)::bigint as battery_temp_cdeg_sum, min(battery_temp_cdeg_min) as battery_temp_cdeg_min,
    max(battery_temp_cdeg_max) as battery_temp_cdeg_max, sum(power_w_count)::bigint as power_w_count,
    sum(power_w_sum)::bigint as power_w_sum, min(power_w_min) as power_w_min, max(power_w_max) as power_w_max,
    sum(voltage_mv_count)::bigint as voltage_mv_count, sum(voltage_mv_sum)::bigint as voltage_mv_sum,
    min(voltage_mv_min) as voltage_mv_min, max(voltage_mv_max) as voltage_mv_max,
    sum(voltage_l1_mv_count)::bigint as voltage_l1_mv_count, sum(voltage_l1_mv_sum)::bigint as voltage_l1_mv_sum,
    min(voltage_l1_mv_min) as voltage_l1_mv_min, max(voltage_l1_mv_max) as voltage_l1_mv_max,
    sum(voltage_l2_mv_count)::bigint as voltage_l2_mv_count, sum(voltage_l2_mv_sum)::bigint as voltage_l2_mv_sum,
    min(voltage_l2_mv_min) as voltage_l2_mv_min, max(voltage_l2_mv_max) as voltage_l2_mv_max,
    sum(voltage_l3_mv_count)::bigint as voltage_l3_mv_count, sum(voltage_l3_mv_sum)::bigint as voltage_l3_mv_sum,
    min(voltage_l3_mv_min) as voltage_l3_mv_min, max(voltage_l3_mv_max) as voltage_l3_mv_max
    -- end
from (
    select *
    from hourly
    union all
    select *
    from spread_quarters
) as e
group by 1, 2, 3;

create or replace view days as
select
    day_of(e.bucket) as bucket,
    e.device,
    e.meter,
    sum(e.readings)::bigint as readings,
    sum(e.resets)::bigint as resets,
    sum(e.energy_mwh)::bigint as energy_mwh,
    sum(e.covered_ms)::bigint as covered_ms,
    -- each rollup, last: {of_rollup} as {name},
    min(soc_bp_min) as soc_bp_min, max(soc_bp_max) as soc_bp_max,
    sum(battery_temp_cdeg_count)::bigint as battery_temp_cdeg_count,
    sum(battery_temp_cdeg_sum)::bigint as battery_temp_cdeg_sum, min(battery_temp_cdeg_min) as battery_temp_cdeg_min,
    max(battery_temp_cdeg_max) as battery_temp_cdeg_max, sum(power_w_count)::bigint as power_w_count,
    sum(power_w_sum)::bigint as power_w_sum, min(power_w_min) as power_w_min, max(power_w_max) as power_w_max,
    sum(voltage_mv_count)::bigint as voltage_mv_count, sum(voltage_mv_sum)::bigint as voltage_mv_sum,
    min(voltage_mv_min) as voltage_mv_min, max(voltage_mv_max) as voltage_mv_max,
    sum(voltage_l1_mv_count)::bigint as voltage_l1_mv_count, sum(voltage_l1_mv_sum)::bigint as voltage_l1_mv_sum,
    min(voltage_l1_mv_min) as voltage_l1_mv_min, max(voltage_l1_mv_max) as voltage_l1_mv_max,
    sum(voltage_l2_mv_count)::bigint as voltage_l2_mv_count, sum(voltage_l2_mv_sum)::bigint as voltage_l2_mv_sum,
    min(voltage_l2_mv_min) as voltage_l2_mv_min, max(voltage_l2_mv_max) as voltage_l2_mv_max,
    sum(voltage_l3_mv_count)::bigint as voltage_l3_mv_count, sum(voltage_l3_mv_sum)::bigint as voltage_l3_mv_sum,
    min(voltage_l3_mv_min) as voltage_l3_mv_min, max(voltage_l3_mv_max) as voltage_l3_mv_max
    -- end
from (
    select *
    from daily
    union all
    select *
    from spread_quarters
) as e
group by 1, 2, 3;

create or replace view vehicle_hourly as
select
    h.bucket,
    d.id as vehicle_id,
    m.id as meter_id,
    h.readings,
    h.resets,
    h.energy_mwh,
    h.covered_ms,
    -- each rollup of vehicle, last: h.{name},
    h.soc_bp_min, h.soc_bp_max, h.battery_temp_cdeg_count, h.battery_temp_cdeg_sum, h.battery_temp_cdeg_min,
    h.battery_temp_cdeg_max, h.power_w_count, h.power_w_sum, h.power_w_min, h.power_w_max
    -- end
from hours as h
join devices as d
    on d.device = h.device
left join devices as m
    on m.device = h.meter
where d.kind = 'vehicle';

create or replace view vehicle_daily as
select
    h.bucket,
    d.id as vehicle_id,
    m.id as meter_id,
    h.readings,
    h.resets,
    h.energy_mwh,
    h.covered_ms,
    -- each rollup of vehicle, last: h.{name},
    h.soc_bp_min, h.soc_bp_max, h.battery_temp_cdeg_count, h.battery_temp_cdeg_sum, h.battery_temp_cdeg_min,
    h.battery_temp_cdeg_max, h.power_w_count, h.power_w_sum, h.power_w_min, h.power_w_max
    -- end
from days as h
join devices as d
    on d.device = h.device
left join devices as m
    on m.device = h.meter
where d.kind = 'vehicle';

create or replace view meter_hourly as
select
    h.bucket,
    d.id as meter_id,
    coalesce(d.role, 'charger') as role,
    h.readings,
    h.resets,
    h.energy_mwh,
    h.covered_ms,
    -- each rollup of meter, last: h.{name},
    h.voltage_mv_count, h.voltage_mv_sum, h.voltage_mv_min, h.voltage_mv_max, h.voltage_l1_mv_count,
    h.voltage_l1_mv_sum, h.voltage_l1_mv_min, h.voltage_l1_mv_max, h.voltage_l2_mv_count, h.voltage_l2_mv_sum,
    h.voltage_l2_mv_min, h.voltage_l2_mv_max, h.voltage_l3_mv_count, h.voltage_l3_mv_sum, h.voltage_l3_mv_min,
    h.voltage_l3_mv_max, h.power_w_count, h.power_w_sum, h.power_w_min, h.power_w_max
    -- end
from hours as h
join devices as d
    on d.device = h.device
where d.kind = 'meter';

create or replace view meter_daily as
select
    h.bucket,
    d.id as meter_id,
    coalesce(d.role, 'charger') as role,
    h.readings,
    h.resets,
    h.energy_mwh,
    h.covered_ms,
    -- each rollup of meter, last: h.{name},
    h.voltage_mv_count, h.voltage_mv_sum, h.voltage_mv_min, h.voltage_mv_max, h.voltage_l1_mv_count,
    h.voltage_l1_mv_sum, h.voltage_l1_mv_min, h.voltage_l1_mv_max, h.voltage_l2_mv_count, h.voltage_l2_mv_sum,
    h.voltage_l2_mv_min, h.voltage_l2_mv_max, h.voltage_l3_mv_count, h.voltage_l3_mv_sum, h.voltage_l3_mv_min,
    h.voltage_l3_mv_max, h.power_w_count, h.power_w_sum, h.power_w_min, h.power_w_max
    -- end
from days as h
join devices as d
    on d.device = h.device
where d.kind = 'meter';

create or replace view meter_assignments as
select
    v.id as vehicle_id,
    a.since,
    m.id as meter_id,
    a.created_at,
    a.restamped_at
from assignments as a
join devices as v
    on v.device = a.vehicle
left join devices as m
    on m.device = a.meter;

-- Transactions with their tokens and drivers, for the service alone.
create or replace view transaction_records as
select
    t.number,
    coalesce(t.own_id, t.number::text) as transaction_id,
    t.station_id,
    t.connector,
    m.id as meter_id,
    t.measures,
    t.token,
    t.driver,
    v.id as vehicle_id,
    t.started_at,
    t.register_start_mwh,
    t.ended_at,
    t.register_end_mwh,
    t.reason,
    t.at,
    t.own_id,
    t.meter,
    t.vehicle
from transactions as t
join devices as m
    on m.device = t.meter
left join devices as v
    on v.device = t.vehicle;

create or replace view charging_transactions as
select
    t.number,
    t.transaction_id,
    t.station_id,
    t.connector,
    t.meter_id,
    t.measures,
    t.vehicle_id,
    t.started_at,
    t.register_start_mwh,
    t.ended_at,
    t.register_end_mwh,
    case
        when t.register_end_mwh >= t.register_start_mwh then t.register_end_mwh - t.register_start_mwh
    end as energy_mwh,
    t.reason
from transaction_records as t;
