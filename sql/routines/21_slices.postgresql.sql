-- A slice is what one device measured in one hour, cut to the window [p_from, p_to). Here all of
-- it comes from history by the primary key: a view over history cannot be bounded by its bucket.

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
        and r.time < p_to
    group by 1, 2;
end;
