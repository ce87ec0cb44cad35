-- A slice is what one device measured in one hour, cut to the window [p_from, p_to). The whole hours
-- [p_hours_from, p_hours_to), which end at rolled_up_until(), come from the rollups; the two that the window cuts, and
-- what is not rolled up yet, from history. So both edges are exact to the reading. Of some devices both are
-- asked by device and time; without a list, of all, the rollups by time alone.

-- Planned for these times: a plan for any would have to know every chunk.
create or replace function vehicle_slices_of_history(p_vehicles text[], p_from timestamptz, p_to timestamptz)
returns table (
    hour timestamptz,
    vehicle_id text,
    meter_id text,
    readings bigint,
    interval_readings bigint,
    span_ms bigint,
    resets bigint,
    energy_mwh bigint,
    soc_bp_min smallint,
    soc_bp_max smallint,
    battery_temp_cdeg_sum bigint,
    battery_temp_cdeg_min smallint,
    battery_temp_cdeg_max smallint
)
language plpgsql
stable
set plan_cache_mode = force_custom_plan
as $$
begin
    return query
    select
        date_bin('1 hour', r.time, '2000-01-01 00:00:00+00'),
        r.vehicle_id,
        r.meter_id,
        count(*),
        count(*) filter (where r.register_mwh is null),
        coalesce(sum(r.span_ms), 0)::bigint,
        count(*) filter (where r.reset),
        sum(r.energy_mwh)::bigint,
        min(r.soc_bp),
        max(r.soc_bp),
        sum(r.battery_temp_cdeg),
        min(r.battery_temp_cdeg),
        max(r.battery_temp_cdeg)
    from vehicle_readings as r
    where r.vehicle_id = any(p_vehicles)
        and r.time >= p_from
        and r.time < p_to
    group by 1, 2, 3;
end;
$$;

-- Planned once, for any times, since planning would take longer than the rest. A few devices are asked for one by
-- one: for a list of unknown length the planner would rather read the hours of all.
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
    span_ms bigint,
    resets bigint,
    energy_mwh bigint,
    soc_bp_min smallint,
    soc_bp_max smallint,
    battery_temp_cdeg_sum bigint,
    battery_temp_cdeg_min smallint,
    battery_temp_cdeg_max smallint
)
language plpgsql
stable
set plan_cache_mode = force_generic_plan
as $$
declare
    l_vehicle text;
begin
    if p_hours_from < p_hours_to then
        if p_vehicles is null then
            return query
            select
                h.bucket,
                h.vehicle_id,
                h.meter_id,
                h.readings,
                h.interval_readings,
                h.span_ms,
                h.resets,
                h.energy_mwh,
                h.soc_bp_min,
                h.soc_bp_max,
                h.battery_temp_cdeg_sum,
                h.battery_temp_cdeg_min,
                h.battery_temp_cdeg_max
            from rolled_up_vehicle_hours as h
            where h.bucket >= p_hours_from
                and h.bucket < p_hours_to;
        elsif cardinality(p_vehicles) <= 50 then
            foreach l_vehicle in array p_vehicles loop
                return query
                select
                    h.bucket,
                    h.vehicle_id,
                    h.meter_id,
                    h.readings,
                    h.interval_readings,
                    h.span_ms,
                    h.resets,
                    h.energy_mwh,
                    h.soc_bp_min,
                    h.soc_bp_max,
                    h.battery_temp_cdeg_sum,
                    h.battery_temp_cdeg_min,
                    h.battery_temp_cdeg_max
                from rolled_up_vehicle_hours as h
                where h.vehicle_id = l_vehicle
                    and h.bucket >= p_hours_from
                    and h.bucket < p_hours_to;
            end loop;
        else
            return query
            select
                h.bucket,
                h.vehicle_id,
                h.meter_id,
                h.readings,
                h.interval_readings,
                h.span_ms,
                h.resets,
                h.energy_mwh,
                h.soc_bp_min,
                h.soc_bp_max,
                h.battery_temp_cdeg_sum,
                h.battery_temp_cdeg_min,
                h.battery_temp_cdeg_max
            from rolled_up_vehicle_hours as h
            where h.vehicle_id = any(p_vehicles)
                and h.bucket >= p_hours_from
                and h.bucket < p_hours_to;
        end if;
    end if;
    if p_from < least(p_hours_from, p_to) then
        return query
        select *
        from vehicle_slices_of_history(p_vehicles, p_from, least(p_hours_from, p_to));
    end if;
    if p_hours_to < p_to then
        return query
        select *
        from vehicle_slices_of_history(p_vehicles, p_hours_to, p_to);
    end if;
end;
$$;

-- Planned for these times: a plan for any would have to know every chunk.
create or replace function meter_slices_of_history(p_meters text[], p_from timestamptz, p_to timestamptz)
returns table (
    hour timestamptz,
    meter_id text,
    readings bigint,
    interval_readings bigint,
    span_ms bigint,
    resets bigint,
    energy_mwh bigint,
    voltage_mv_sum bigint,
    voltage_mv_min integer,
    voltage_mv_max integer
)
language plpgsql
stable
set plan_cache_mode = force_custom_plan
as $$
begin
    return query
    select
        date_bin('1 hour', r.time, '2000-01-01 00:00:00+00'),
        r.meter_id,
        count(*),
        count(*) filter (where r.register_mwh is null),
        coalesce(sum(r.span_ms), 0)::bigint,
        count(*) filter (where r.reset),
        sum(r.energy_mwh)::bigint,
        sum(r.voltage_mv),
        min(r.voltage_mv),
        max(r.voltage_mv)
    from meter_readings as r
    where r.meter_id = any(p_meters)
        and r.time >= p_from
        and r.time < p_to
    group by 1, 2;
end;
$$;

-- Planned once, for any times, since planning would take longer than the rest. A few devices are asked for one by
-- one: for a list of unknown length the planner would rather read the hours of all.
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
    span_ms bigint,
    resets bigint,
    energy_mwh bigint,
    voltage_mv_sum bigint,
    voltage_mv_min integer,
    voltage_mv_max integer
)
language plpgsql
stable
set plan_cache_mode = force_generic_plan
as $$
declare
    l_meter text;
begin
    if p_hours_from < p_hours_to then
        if p_meters is null then
            return query
            select
                h.bucket,
                h.meter_id,
                h.readings,
                h.interval_readings,
                h.span_ms,
                h.resets,
                h.energy_mwh,
                h.voltage_mv_sum,
                h.voltage_mv_min,
                h.voltage_mv_max
            from rolled_up_meter_hours as h
            where h.bucket >= p_hours_from
                and h.bucket < p_hours_to;
        elsif cardinality(p_meters) <= 50 then
            foreach l_meter in array p_meters loop
                return query
                select
                    h.bucket,
                    h.meter_id,
                    h.readings,
                    h.interval_readings,
                    h.span_ms,
                    h.resets,
                    h.energy_mwh,
                    h.voltage_mv_sum,
                    h.voltage_mv_min,
                    h.voltage_mv_max
                from rolled_up_meter_hours as h
                where h.meter_id = l_meter
                    and h.bucket >= p_hours_from
                    and h.bucket < p_hours_to;
            end loop;
        else
            return query
            select
                h.bucket,
                h.meter_id,
                h.readings,
                h.interval_readings,
                h.span_ms,
                h.resets,
                h.energy_mwh,
                h.voltage_mv_sum,
                h.voltage_mv_min,
                h.voltage_mv_max
            from rolled_up_meter_hours as h
            where h.meter_id = any(p_meters)
                and h.bucket >= p_hours_from
                and h.bucket < p_hours_to;
        end if;
    end if;
    if p_from < least(p_hours_from, p_to) then
        return query
        select *
        from meter_slices_of_history(p_meters, p_from, least(p_hours_from, p_to));
    end if;
    if p_hours_to < p_to then
        return query
        select *
        from meter_slices_of_history(p_meters, p_hours_to, p_to);
    end if;
end;
$$;
