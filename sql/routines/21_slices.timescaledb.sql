-- A slice is what one device measured in one hour, cut to the window [p_from, p_to). Whole hours
-- come from the rollups (index: device and bucket), the hours that the window cuts from history
-- (primary key), so that both edges are exact to the reading.

create or replace function vehicle_slices(p_vehicles text[], p_from timestamptz, p_to timestamptz)
returns table (
    hour timestamptz,
    vehicle_id text,
    meter_id text,
    readings bigint,
    energy_mwh bigint,
    soc_bp_min smallint,
    soc_bp_max smallint,
    battery_temp_cdeg_sum bigint,
    battery_temp_cdeg_max smallint
)
language sql
stable
begin atomic
    select
        h.bucket,
        h.vehicle_id,
        h.meter_id,
        h.readings,
        h.energy_mwh,
        h.soc_bp_min,
        h.soc_bp_max,
        h.battery_temp_cdeg_sum,
        h.battery_temp_cdeg_max
    from vehicle_hourly as h
    where h.vehicle_id = any(p_vehicles)
        and h.bucket >= ceil_hour(p_from)
        and h.bucket < floor_hour(p_to)
    union all
    select
        floor_hour(r.time),
        r.vehicle_id,
        r.meter_id,
        count(*),
        sum(r.energy_mwh),
        min(r.soc_bp),
        max(r.soc_bp),
        sum(r.battery_temp_cdeg),
        max(r.battery_temp_cdeg)
    from vehicle_readings as r
    where r.vehicle_id = any(p_vehicles)
        and r.time >= p_from
        and r.time < least(ceil_hour(p_from), p_to)
    group by 1, 2, 3
    union all
    select
        floor_hour(r.time),
        r.vehicle_id,
        r.meter_id,
        count(*),
        sum(r.energy_mwh),
        min(r.soc_bp),
        max(r.soc_bp),
        sum(r.battery_temp_cdeg),
        max(r.battery_temp_cdeg)
    from vehicle_readings as r
    where r.vehicle_id = any(p_vehicles)
        and r.time >= greatest(floor_hour(p_to), ceil_hour(p_from))
        and r.time < p_to
    group by 1, 2, 3;
end;

create or replace function meter_slices(p_meters text[], p_from timestamptz, p_to timestamptz)
returns table (
    hour timestamptz,
    meter_id text,
    readings bigint,
    energy_mwh bigint,
    voltage_mv_sum bigint,
    voltage_mv_min integer,
    voltage_mv_max integer
)
language sql
stable
begin atomic
    select
        h.bucket,
        h.meter_id,
        h.readings,
        h.energy_mwh,
        h.voltage_mv_sum,
        h.voltage_mv_min,
        h.voltage_mv_max
    from meter_hourly as h
    where h.meter_id = any(p_meters)
        and h.bucket >= ceil_hour(p_from)
        and h.bucket < floor_hour(p_to)
    union all
    select
        floor_hour(r.time),
        r.meter_id,
        count(*),
        sum(r.energy_mwh),
        sum(r.voltage_mv),
        min(r.voltage_mv),
        max(r.voltage_mv)
    from meter_readings as r
    where r.meter_id = any(p_meters)
        and r.time >= p_from
        and r.time < least(ceil_hour(p_from), p_to)
    group by 1, 2
    union all
    select
        floor_hour(r.time),
        r.meter_id,
        count(*),
        sum(r.energy_mwh),
        sum(r.voltage_mv),
        min(r.voltage_mv),
        max(r.voltage_mv)
    from meter_readings as r
    where r.meter_id = any(p_meters)
        and r.time >= greatest(floor_hour(p_to), ceil_hour(p_from))
        and r.time < p_to
    group by 1, 2;
end;
