-- Sums over windows, of which the analytics answers are made. Each function takes the bounds of neighbouring buckets,
-- oldest first (two bounds are one bucket), and returns a row for each bucket with readings. If a bucket ends within a
-- quarter hour (the midnight of an old zone), the quarter hour is cut there and its parts are apportioned separately.

-- Returns the windows to read for some buckets: one for all or, if one ends within a quarter hour, one for each.
create or replace function windows_of(p_bounds timestamptz[])
returns timestamptz[]
language sql
immutable
return case
    when exists (
        select
        from unnest(p_bounds[2:cardinality(p_bounds) - 1]) as b (bound)
        where b.bound <> floor_quarter(b.bound)
    ) then p_bounds
    else array[p_bounds[1], p_bounds[cardinality(p_bounds)]]
end;

-- Returns the hours in which another bucket begins.
create or replace function hours_cut_by(p_bounds timestamptz[])
returns timestamptz[]
language sql
immutable
return array(
    select floor_hour(b.bound)
    from unnest(p_bounds[2:cardinality(p_bounds) - 1]) as b (bound)
    where b.bound <> floor_hour(b.bound)
);

-- Returns the whole hours of a window that are accounted for, except some: nothing in them has changed since, and all
-- of their readings are still in history.
create or replace function accounted_hours_of(
    p_from timestamptz,
    p_to timestamptz,
    p_kept_since timestamptz,
    p_but timestamptz[]
)
returns timestamptz[]
language plpgsql
stable
as $$
begin
    return array(
        select a.hour
        from accounted_hours as a
        where a.hour >= greatest(p_from, p_kept_since)
            and a.hour <= p_to - interval '1 hour'
            and a.hour <> all(p_but)
            and not exists (select from late_hours as h where h.hour = a.hour)
    );
end;
$$;

-- Returns what is left of a window beside whole hours.
create or replace function other_than_hours(p_from timestamptz, p_to timestamptz, p_hours timestamptz[])
returns setof tstzrange
language sql
immutable
parallel safe
begin atomic
    select unnest(
        tstzmultirange(tstzrange(p_from, p_to)) - coalesce(
            (
                select range_agg(tstzrange(h.hour, h.hour + interval '1 hour'))
                from unnest(p_hours) as h (hour)
            ),
            '{}'
        )
    );
end;

-- Returns the rows that a vehicle's answer adds up, by position in p_bounds: rows of the vehicle, and of meters at
-- which no other vehicle ever charged. This one reads hours that are accounted for.
create or replace function accounted_parts(
    p_vehicle integer,
    p_own_meters integer[],
    p_hours timestamptz[],
    p_bounds timestamptz[]
)
returns setof vehicle_part
language plpgsql
stable
-- it reads by device and hour: planning that again would take longer than doing it
set plan_cache_mode = force_generic_plan
as $$
declare
    l_first constant timestamptz := (select min(h.hour) from unnest(p_hours) as h (hour));
    l_last constant timestamptz := (select max(h.hour) from unnest(p_hours) as h (hour));
    l_is_gapless constant boolean := l_last - l_first = (cardinality(p_hours) - 1) * interval '1 hour';
    l_device integer;
begin
    -- one by one: for a list of unknown length the planner would prefer to read the hours of all
    foreach l_device in array p_vehicle || p_own_meters loop
        return query
        select
            width_bucket(a.hour, p_bounds),
            a.vehicle,
            a.meter,
            a.dc_mwh,
            a.ac_mwh,
            a.dc_mwh - coalesce(a.left_out_dc_mwh, 0),
            a.ac_mwh - coalesce(a.left_out_ac_mwh, 0),
            a.covered_dc_ms - coalesce(a.left_out_ms, 0),
            coalesce(case when a.meter = any(p_own_meters) then a.meter_charging_ms else a.charging_ms end, 0),
            coalesce(
                case
                    when a.meter = any(p_own_meters) then a.meter_charging_compared_ms
                    else a.charging_compared_ms
                end,
                0
            ),
            a.covered_dc_ms,
            a.covered_ac_ms,
            a.readings::bigint,
            coalesce(a.vehicle_resets, 0)::bigint,
            a.soc_bp_min,
            a.soc_bp_max,
            coalesce(a.battery_temp_cdeg_count, 0)::bigint,
            a.battery_temp_cdeg_sum,
            a.battery_temp_cdeg_max
        from accounted_energy as a
        where coalesce(a.vehicle, a.meter) = l_device
            and a.hour >= l_first
            and a.hour <= l_last
            and (l_is_gapless or a.hour = any(p_hours));
    end loop;
end;
$$;

-- The same for what is not accounted for: apportioned here, by device only. The other vehicles of its meters come from
-- meter_vehicles.
create or replace function parts_to_share(
    p_vehicle integer,
    p_meters integer[],
    p_own_meters integer[],
    p_from timestamptz,
    p_to timestamptz,
    p_bounds timestamptz[]
)
returns setof vehicle_part
language plpgsql
stable
set plan_cache_mode = force_generic_plan
as $$
declare
    -- all meters that it ever charged at, if they are few: reading them costs less than finding out which
    l_meters constant integer[] := case
        when cardinality(p_meters) <= 4 then p_meters
        else array(
            select distinct s.meter
            from slices(array[p_vehicle], p_from, p_to) as s
            where s.meter is not null
        )
    end;
    l_peers constant integer[] := array(
        select distinct v.vehicle
        from meter_vehicles as v
        where v.meter = any(l_meters)
            and v.vehicle <> p_vehicle
    );
begin
    return query
    select
        width_bucket(greatest(s.bucket, p_from), p_bounds),
        s.vehicle,
        s.meter,
        s.dc_mwh,
        s.ac_mwh,
        s.compared_dc_mwh,
        s.compared_ac_mwh,
        s.compared_ms,
        case when s.is_of_meter = (s.vehicle is null) then s.charging_ms else 0 end,
        case when s.is_of_meter = (s.vehicle is null) then s.charging_compared_ms else 0 end,
        s.covered_dc_ms,
        s.covered_ac_ms,
        s.readings,
        -- its own, and its meters' if it has a part of what they metered
        s.resets + case when s.dc_mwh > 0 or s.ac_mwh > 0 then coalesce(s.meter_resets, 0) else 0 end::bigint,
        s.soc_bp_min,
        s.soc_bp_max,
        s.battery_temp_cdeg_count,
        s.battery_temp_cdeg_sum,
        s.battery_temp_cdeg_max
    from (
        select
            c.*,
            coalesce(c.meter = any(p_own_meters), false) as is_of_meter,
            sum(c.resets) filter (where c.vehicle is null) over (partition by c.bucket, c.meter) as meter_resets
        from compared_slices(l_meters || l_peers || p_vehicle, p_from, p_to) as c
    ) as s
    where s.vehicle = p_vehicle
        or s.vehicle is null and s.is_of_meter;
end;
$$;

-- Returns the rows of both.
create or replace function vehicle_parts(p_vehicle integer, p_bounds timestamptz[])
returns setof vehicle_part
language plpgsql
stable
as $$
declare
    l_windows constant timestamptz[] := windows_of(p_bounds);
    -- accounting by the hour does not show where in it another bucket begins
    l_cut constant timestamptz[] := hours_cut_by(p_bounds);
    l_kept_since constant timestamptz := kept_since();
    l_meters constant integer[] := array(select v.meter from meter_vehicles as v where v.vehicle = p_vehicle);
    l_own_meters constant integer[] := array(
        select u.meter
        from unnest(l_meters) as u (meter)
        where not exists (select from meter_vehicles as v where v.meter = u.meter and v.vehicle <> p_vehicle)
    );
    l_hours timestamptz[];
    l_rest tstzrange;
begin
    for l_number in 1 .. cardinality(l_windows) - 1 loop
        l_hours := accounted_hours_of(l_windows[l_number], l_windows[l_number + 1], l_kept_since, l_cut);
        if cardinality(l_hours) > 0 then
            return query
            select *
            from accounted_parts(p_vehicle, l_own_meters, l_hours, p_bounds);
        end if;
        continue when cardinality(l_hours) * interval '1 hour' = l_windows[l_number + 1] - l_windows[l_number];
        for l_rest in
            select *
            from other_than_hours(l_windows[l_number], l_windows[l_number + 1], l_hours)
        loop
            return query
            select *
            from parts_to_share(p_vehicle, l_meters, l_own_meters, lower(l_rest), upper(l_rest), p_bounds);
        end loop;
    end loop;
end;
$$;

-- Returns the sums of one vehicle. Its charging time is what its readings show and, at a meter where no other vehicle
-- ever charged, what the meter shows as well, while the vehicle has readings there.
create or replace function vehicle_energy(p_vehicle text, p_bounds timestamptz[])
returns table (
    starts timestamptz,
    ends timestamptz,
    dc_mwh bigint,
    ac_mwh bigint,
    compared_dc_mwh bigint,
    compared_ac_mwh bigint,
    readings bigint,
    readings_without_meter bigint,
    resets bigint,
    covered_dc_s double precision,
    covered_ac_s double precision,
    compared_s double precision,
    charging_s double precision,
    charging_compared_s double precision,
    dc_while_charging boolean,
    ac_while_charging boolean,
    expected_s double precision,
    soc_bp_min smallint,
    soc_bp_max smallint,
    battery_temp_cdeg_count bigint,
    battery_temp_cdeg_sum bigint,
    battery_temp_cdeg_max smallint,
    meter_ids text[]
)
language plpgsql
stable
as $$
declare
    l_vehicle constant integer := device_of('vehicle', p_vehicle);
    l_while_charging constant boolean := all_report_while_charging(array[l_vehicle]);
begin
    return query
    with parts as materialized (
        select *
        from vehicle_parts(l_vehicle, p_bounds)
    ),
    charging as (
        select
            p.place,
            sum(p.charging_ms) / 1000.0::float8 as seconds,
            sum(p.charging_compared_ms) / 1000.0::float8 as compared_s
        from parts as p
        where p.vehicle is not null
            or exists (select from parts as t where t.place = p.place and t.meter = p.meter and t.vehicle is not null)
        group by p.place
    )
    select
        p_bounds[e.place],
        p_bounds[e.place + 1],
        sum(e.dc_mwh)::bigint,
        sum(e.ac_mwh)::bigint,
        coalesce(sum(e.compared_dc_mwh), 0)::bigint,
        case when sum(e.compared_ms) > 0 then sum(e.compared_ac_mwh)::bigint end,
        sum(e.readings)::bigint,
        coalesce(sum(e.readings) filter (where e.meter is null), 0)::bigint,
        sum(e.resets)::bigint,
        sum(e.covered_dc_ms) / 1000.0::float8,
        sum(e.covered_ac_ms) / 1000,
        sum(e.compared_ms) / 1000.0::float8,
        max(c.seconds),
        max(c.compared_s),
        l_while_charging,
        l_while_charging or all_report_while_charging(array_agg(e.meter)),
        elapsed_ms(p_bounds[e.place], p_bounds[e.place + 1]) / 1000.0::float8,
        min(e.soc_bp_min),
        max(e.soc_bp_max),
        coalesce(sum(e.battery_temp_cdeg_count), 0)::bigint,
        sum(e.battery_temp_cdeg_sum) filter (where e.battery_temp_cdeg_count > 0)::bigint,
        max(e.battery_temp_cdeg_max),
        array(select m.id from devices as m where m.device = any(array_agg(e.meter)) order by m.id)::text[]
    from parts as e
    left join charging as c
        on c.place = e.place
    where e.vehicle = l_vehicle
    group by e.place
    order by e.place;
end;
$$;

-- Returns the sums of some meters together, and what the vehicles took there.
create or replace function meters_energy(p_meters text[], p_bounds timestamptz[])
returns table (
    starts timestamptz,
    ends timestamptz,
    ac_mwh bigint,
    unattributed_mwh bigint,
    dc_mwh bigint,
    compared_dc_mwh bigint,
    compared_ac_mwh bigint,
    meter_readings bigint,
    vehicle_readings bigint,
    resets bigint,
    covered_dc_s double precision,
    covered_ac_s double precision,
    compared_s double precision,
    charging_s double precision,
    charging_compared_s double precision,
    dc_while_charging boolean,
    ac_while_charging boolean,
    expected_dc_s double precision,
    expected_ac_s double precision,
    voltage_mv_count bigint,
    voltage_mv_sum bigint,
    voltage_mv_min integer,
    voltage_mv_max integer
)
language plpgsql
stable
set plan_cache_mode = force_generic_plan
as $$
declare
    l_meters constant integer[] := devices_of('meter', p_meters);
    l_vehicles constant integer[] := array(
        select distinct v.vehicle
        from meter_vehicles as v
        where v.meter = any(l_meters)
    );
    l_while_charging constant boolean := all_report_while_charging(l_meters);
    l_windows constant timestamptz[] := windows_of(p_bounds);
    l_from timestamptz;
    l_to timestamptz;
begin
    for l_number in 1 .. cardinality(l_windows) - 1 loop
        l_from := l_windows[l_number];
        l_to := l_windows[l_number + 1];
        return query
        select
            p_bounds[e.place],
            p_bounds[e.place + 1],
            sum(e.ac_mwh)::bigint,
            coalesce(sum(e.ac_mwh) filter (where e.vehicle is null), 0)::bigint,
            coalesce(sum(e.dc_mwh), 0)::bigint,
            coalesce(sum(e.compared_dc_mwh), 0)::bigint,
            case
                when sum(e.compared_ms) filter (where e.vehicle is null) > 0
                    then sum(e.compared_ac_mwh) filter (where e.vehicle is not null)::bigint
            end,
            coalesce(sum(e.readings) filter (where e.vehicle is null), 0)::bigint,
            coalesce(sum(e.readings) filter (where e.vehicle is not null), 0)::bigint,
            sum(e.resets)::bigint,
            coalesce(sum(e.covered_dc_ms) filter (where e.vehicle is null), 0) / 1000.0::float8,
            coalesce(sum(e.covered_ac_ms) filter (where e.vehicle is null), 0) / 1000,
            coalesce(sum(e.compared_ms) filter (where e.vehicle is null), 0) / 1000.0::float8,
            coalesce(sum(e.charging_ms) filter (where e.vehicle is null), 0) / 1000.0::float8,
            coalesce(sum(e.charging_compared_ms) filter (where e.vehicle is null), 0) / 1000.0::float8,
            all_report_while_charging(array_agg(distinct e.vehicle) filter (where e.vehicle is not null)),
            l_while_charging,
            elapsed_ms(p_bounds[e.place], p_bounds[e.place + 1]) / 1000.0::float8 * cardinality(p_meters),
            elapsed_ms(p_bounds[e.place], p_bounds[e.place + 1]) / 1000.0::float8 * cardinality(p_meters),
            sum(e.voltage_mv_count)::bigint,
            sum(e.voltage_mv_sum) filter (where e.voltage_mv_count > 0)::bigint,
            min(e.voltage_mv_min),
            max(e.voltage_mv_max)
        from (
            select s.*, width_bucket(greatest(s.bucket, l_from), p_bounds) as place
            from compared_slices(l_meters || l_vehicles, l_from, l_to) as s
            where s.meter = any(l_meters)
        ) as e
        group by e.place
        order by e.place;
    end loop;
end;
$$;

-- Returns each vehicle's share of one meter's AC.
create or replace function meter_shares(p_meter text, p_bounds timestamptz[])
returns table (
    vehicle_id text,
    dc_mwh bigint,
    ac_mwh bigint,
    compared_dc_mwh bigint,
    compared_ac_mwh bigint,
    readings bigint
)
language plpgsql
stable
set plan_cache_mode = force_generic_plan
as $$
declare
    l_meter constant integer := device_of('meter', p_meter);
    l_vehicles constant integer[] := array(select v.vehicle from meter_vehicles as v where v.meter = l_meter);
    l_from constant timestamptz := p_bounds[1];
    l_to constant timestamptz := p_bounds[2];
begin
    return query
    select
        (select d.id from devices as d where d.device = e.vehicle)::text,
        sum(e.dc_mwh)::bigint,
        sum(e.ac_mwh)::bigint,
        coalesce(sum(e.compared_dc_mwh), 0)::bigint,
        case when sum(e.compared_ms) > 0 then sum(e.compared_ac_mwh)::bigint end,
        sum(e.readings)::bigint
    from compared_slices(l_meter || l_vehicles, l_from, l_to) as e
    where e.meter = l_meter
        and e.vehicle is not null
    group by e.vehicle;
end;
$$;
