-- A slice is what one device measured in one hour, cut to the window [p_from, p_to). The whole hours
-- [p_hours_from, p_hours_to), which end at rolled_up_until(), come from the rollups (index: device and bucket); the
-- two that the window cuts, and what is not rolled up yet, from history, of some devices by the primary key.
-- So both edges are exact to the reading. Without a list, what comes from history is that of all devices.

-- From history, of all vehicles without a list. A call of its own, so that who needs nothing of it does not plan it,
-- and planned for these times: a plan for any would have to know every chunk.
create or replace function vehicle_slices_of_history(p_vehicles text[], p_from timestamptz, p_to timestamptz)
returns table (
    hour timestamptz,
    vehicle_id text,
    meter_id text,
    readings bigint,
    interval_readings bigint,
    span_s bigint,
    resets bigint,
    energy_mwh bigint,
    soc_bp_min smallint,
    soc_bp_max smallint,
    battery_temp_cdeg_sum bigint,
    battery_temp_cdeg_max smallint
)
language plpgsql
stable
parallel safe
rows 24
set plan_cache_mode = force_custom_plan
as $$
begin
    if p_from < p_to then
        return query
        select
            date_bin('1 hour', r.time, '2000-01-01 00:00:00+00'),
            r.vehicle_id,
            r.meter_id,
            count(*),
            count(*) filter (where r.register_mwh is null),
            coalesce(sum(r.span_s), 0)::bigint,
            count(*) filter (where r.reset),
            sum(r.energy_mwh)::bigint,
            min(r.soc_bp),
            max(r.soc_bp),
            sum(r.battery_temp_cdeg),
            max(r.battery_temp_cdeg)
        from vehicle_readings as r
        where (p_vehicles is null or r.vehicle_id = any(p_vehicles))
            and r.time >= p_from
            and r.time < p_to
        group by 1, 2, 3;
    end if;
end;
$$;

create or replace function vehicle_slices(
    p_vehicles text[],
    p_from timestamptz,
    p_hours_from timestamptz,
    p_hours_to timestamptz,
    p_to timestamptz
)
returns table (
    hour timestamptz,
    vehicle_id text,
    meter_id text,
    readings bigint,
    interval_readings bigint,
    span_s bigint,
    resets bigint,
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
        h.interval_readings,
        h.span_s,
        h.resets,
        h.energy_mwh,
        h.soc_bp_min,
        h.soc_bp_max,
        h.battery_temp_cdeg_sum,
        h.battery_temp_cdeg_max
    from rolled_up_vehicle_hours as h
    where h.vehicle_id = any(p_vehicles)
        and h.bucket >= p_hours_from
        and h.bucket < p_hours_to
    union all
    select *
    from vehicle_slices_of_history(p_vehicles, p_from, least(p_hours_from, p_to))
    union all
    select *
    from vehicle_slices_of_history(p_vehicles, p_hours_to, p_to);
end;

-- From history, of all meters without a list. A call of its own, so that who needs nothing of it does not plan it,
-- and planned for these times: a plan for any would have to know every chunk.
create or replace function meter_slices_of_history(p_meters text[], p_from timestamptz, p_to timestamptz)
returns table (
    hour timestamptz,
    meter_id text,
    readings bigint,
    interval_readings bigint,
    span_s bigint,
    resets bigint,
    energy_mwh bigint,
    voltage_mv_sum bigint,
    voltage_mv_min integer,
    voltage_mv_max integer
)
language plpgsql
stable
parallel safe
rows 24
set plan_cache_mode = force_custom_plan
as $$
begin
    if p_from < p_to then
        return query
        select
            date_bin('1 hour', r.time, '2000-01-01 00:00:00+00'),
            r.meter_id,
            count(*),
            count(*) filter (where r.register_mwh is null),
            coalesce(sum(r.span_s), 0)::bigint,
            count(*) filter (where r.reset),
            sum(r.energy_mwh)::bigint,
            sum(r.voltage_mv),
            min(r.voltage_mv),
            max(r.voltage_mv)
        from meter_readings as r
        where (p_meters is null or r.meter_id = any(p_meters))
            and r.time >= p_from
            and r.time < p_to
        group by 1, 2;
    end if;
end;
$$;

create or replace function meter_slices(
    p_meters text[],
    p_from timestamptz,
    p_hours_from timestamptz,
    p_hours_to timestamptz,
    p_to timestamptz
)
returns table (
    hour timestamptz,
    meter_id text,
    readings bigint,
    interval_readings bigint,
    span_s bigint,
    resets bigint,
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
        h.interval_readings,
        h.span_s,
        h.resets,
        h.energy_mwh,
        h.voltage_mv_sum,
        h.voltage_mv_min,
        h.voltage_mv_max
    from rolled_up_meter_hours as h
    where h.meter_id = any(p_meters)
        and h.bucket >= p_hours_from
        and h.bucket < p_hours_to
    union all
    select *
    from meter_slices_of_history(p_meters, p_from, least(p_hours_from, p_to))
    union all
    select *
    from meter_slices_of_history(p_meters, p_hours_to, p_to);
end;
