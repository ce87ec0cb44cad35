-- A slice is what one device measured in one hour, cut to the window [p_from, p_to); of all devices without
-- a list. Here it comes from history, of some devices by the primary key, since a view over history cannot be bounded
-- by its bucket; and of whole hours from what is kept of history that was dropped.

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
as $$
begin
    if p_hours_from <= p_from and p_hours_to >= p_to then
        null;  -- history has none of it any more
    elsif p_vehicles is null then
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
        where r.time >= p_from
            and r.time < p_to
        group by 1, 2, 3;
    else
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
    end if;
    return query
    select
        k.bucket,
        k.vehicle_id,
        k.meter_id,
        k.readings,
        k.interval_readings,
        k.span_ms,
        k.resets,
        k.energy_mwh,
        k.soc_bp_min,
        k.soc_bp_max,
        k.battery_temp_cdeg_sum,
        k.battery_temp_cdeg_min,
        k.battery_temp_cdeg_max
    from rolled_up_vehicle_hours as k
    where (p_vehicles is null or k.vehicle_id = any(p_vehicles))
        and k.bucket >= p_hours_from
        and k.bucket < p_hours_to;
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
    span_ms bigint,
    resets bigint,
    energy_mwh bigint,
    voltage_mv_sum bigint,
    voltage_mv_min integer,
    voltage_mv_max integer
)
language plpgsql
stable
as $$
begin
    if p_hours_from <= p_from and p_hours_to >= p_to then
        null;  -- history has none of it any more
    elsif p_meters is null then
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
        where r.time >= p_from
            and r.time < p_to
        group by 1, 2;
    else
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
    end if;
    return query
    select
        k.bucket,
        k.meter_id,
        k.readings,
        k.interval_readings,
        k.span_ms,
        k.resets,
        k.energy_mwh,
        k.voltage_mv_sum,
        k.voltage_mv_min,
        k.voltage_mv_max
    from rolled_up_meter_hours as k
    where (p_meters is null or k.meter_id = any(p_meters))
        and k.bucket >= p_hours_from
        and k.bucket < p_hours_to;
end;
$$;
