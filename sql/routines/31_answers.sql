-- Sums over windows: what the analytics answers are made of. Each function takes the bounds of
-- neighbouring buckets, oldest first (two bounds are one bucket), and gives a row for each bucket that
-- has readings. Where a bucket ends within a quarter hour (the midnight of an old zone), that is cut there and its
-- parts are shared each by itself.

-- The windows to read for some buckets: all of them in one, or, when one ends within a quarter hour, each by itself.
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

-- One vehicle. Reads rollups and history by device only: the other vehicles of its meters come from
-- meter_vehicles. Its charging time is what its readings show, and at a meter where no other vehicle ever charged, what
-- that shows as well.
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
-- it asks the rollups by device and bucket: planning that anew would take longer than doing it
set plan_cache_mode = force_generic_plan
as $$
declare
    l_vehicle constant integer := device_of('vehicle', p_vehicle);
    l_windows constant timestamptz[] := windows_of(p_bounds);
    l_from timestamptz;
    l_to timestamptz;
    l_meters integer[];
    l_peers integer[];
    l_own_meters integer[];
    l_while_charging constant boolean := all_report_while_charging(array[l_vehicle]);
begin
    for l_number in 1 .. cardinality(l_windows) - 1 loop
        l_from := l_windows[l_number];
        l_to := l_windows[l_number + 1];
        -- all meters that it ever charged at, as long as they are few: a look costs less than a question
        l_meters := array(select v.meter from meter_vehicles as v where v.vehicle = l_vehicle);
        if cardinality(l_meters) > 4 then
            l_meters := array(
                select distinct s.meter
                from slices(array[l_vehicle], l_from, l_to) as s
                where s.meter is not null
            );
        end if;
        l_peers := array(
            select distinct v.vehicle
            from meter_vehicles as v
            where v.meter = any(l_meters)
                and v.vehicle <> l_vehicle
        );
        l_own_meters := array(
            select u.meter
            from unnest(l_meters) as u (meter)
            where not exists (select from meter_vehicles as v where v.meter = u.meter and v.vehicle <> l_vehicle)
        );

        return query
        with slices as materialized (
            select
                s.*,
                width_bucket(greatest(s.bucket, l_from), p_bounds) as place,
                sum(s.resets) filter (where s.vehicle is null) over (partition by s.bucket, s.meter) as meter_resets
            from compared_slices(l_meters || l_peers || l_vehicle, l_from, l_to) as s
        ),
        there as (
            select distinct s.place, s.meter
            from slices as s
            where s.vehicle = l_vehicle
        ),
        charging as (
            select
                s.place,
                sum(s.charging_ms) / 1000.0::float8 as seconds,
                sum(s.charging_compared_ms) / 1000.0::float8 as compared_s
            from slices as s
            join there as t
                on t.place = s.place
                and t.meter is not distinct from s.meter
            where case when s.meter = any(l_own_meters) then s.vehicle is null else s.vehicle = l_vehicle end
            group by s.place
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
            -- its own, and its meters' where it has a part of what they metered
            (sum(e.resets) + coalesce(sum(e.meter_resets) filter (where e.dc_mwh > 0 or e.ac_mwh > 0), 0))::bigint,
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
        from slices as e
        left join charging as c
            on c.place = e.place
        where e.vehicle = l_vehicle
        group by e.place
        order by e.place;
    end loop;
end;
$$;

-- Some meters together, and what the vehicles took there.
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

-- Who got what of one meter's AC.
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
