-- Sums over windows: what the analytics answers are made of. Each function takes the bounds of
-- neighbouring buckets, oldest first (two bounds are one bucket), and gives a row for each bucket that
-- has readings. Where a bucket ends within an hour (a midnight of a zone with half hours), that hour is
-- cut there and its parts are shared each by itself.

-- The windows to read for some buckets: all of them in one, or, when one ends within an hour, each by itself.
create or replace function windows_of(p_bounds timestamptz[])
returns timestamptz[]
language sql
immutable
return case
    when exists (
        select
        from unnest(p_bounds[2:cardinality(p_bounds) - 1]) as b (bound)
        where b.bound <> floor_hour(b.bound)
    ) then p_bounds
    else array[p_bounds[1], p_bounds[cardinality(p_bounds)]]
end;

-- One vehicle. Reads rollups and history by device only: the other vehicles of its meters come from
-- meter_vehicles.
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
    hours_left_out bigint,
    covered_dc_s double precision,
    covered_ac_s double precision,
    compared_s double precision,
    expected_s double precision,
    soc_bp_min smallint,
    soc_bp_max smallint,
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
    l_windows constant timestamptz[] := windows_of(p_bounds);
    l_rolled_up constant timestamptz := rolled_up_until();
    l_interval_s constant integer := (select a.reporting_interval_s from accounting as a);
    l_least_match constant double precision := (select a.least_match from accounting as a);
    l_from timestamptz;
    l_to timestamptz;
    l_hours_from timestamptz;
    l_hours_to timestamptz;
    l_meters text[];
    l_peers text[];
begin
    for l_number in 1 .. cardinality(l_windows) - 1 loop
        l_from := l_windows[l_number];
        l_to := l_windows[l_number + 1];
        l_hours_from := ceil_hour(l_from);
        l_hours_to := greatest(l_hours_from, least(floor_hour(l_to), l_rolled_up));
        -- all meters that it ever charged at, as long as they are few: a look costs less than a question
        select coalesce(array_agg(v.meter_id), '{}')
        into l_meters
        from meter_vehicles as v
        where v.vehicle_id = p_vehicle;
        if cardinality(l_meters) > 4 then
            select coalesce(array_agg(distinct s.meter_id) filter (where s.meter_id is not null), '{}')
            into l_meters
            from vehicle_slices(array[p_vehicle], l_from, l_hours_from, l_hours_to, l_to) as s;
        end if;

        select array_agg(distinct v.vehicle_id)
        into l_peers
        from meter_vehicles as v
        where v.meter_id = any(l_meters)
            and v.vehicle_id <> p_vehicle;

        return query
        select
            p_bounds[e.bucket],
            p_bounds[e.bucket + 1],
            sum(e.dc_mwh)::bigint,
            sum(e.ac_mwh)::bigint,
            coalesce(sum(e.dc_mwh) filter (where e.comparable), 0)::bigint,
            sum(e.ac_mwh) filter (where e.comparable)::bigint,
            sum(e.readings)::bigint,
            coalesce(sum(e.readings) filter (where e.meter_id is null), 0)::bigint,
            sum(e.resets)::bigint,
            count(*) filter (where e.meter_id is not null and not e.comparable and (e.dc_mwh > 0 or e.ac_mwh > 0)),
            sum(e.covered_dc_s)::float8,
            sum(e.covered_ac_s),
            coalesce(sum(e.covered_dc_s) filter (where e.comparable), 0)::float8,
            elapsed_s(p_bounds[e.bucket], p_bounds[e.bucket + 1])::float8,
            min(e.soc_bp_min),
            max(e.soc_bp_max),
            sum(e.battery_temp_cdeg_sum)::bigint,
            max(e.battery_temp_cdeg_max),
            coalesce(array_agg(distinct e.meter_id) filter (where e.meter_id is not null), '{}')
        from (
            select s.*, width_bucket(greatest(s.hour, l_from), p_bounds) as bucket
            from energy_slices(l_peers || p_vehicle, l_meters, l_from, l_hours_from, l_hours_to, l_to, l_interval_s, l_least_match) as s
            where s.vehicle_id = p_vehicle
        ) as e
        group by e.bucket
        order by e.bucket;
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
    hours_left_out bigint,
    covered_dc_s double precision,
    covered_ac_s double precision,
    compared_s double precision,
    expected_dc_s double precision,
    expected_ac_s double precision,
    voltage_mv_sum bigint,
    voltage_mv_min integer,
    voltage_mv_max integer
)
language plpgsql
stable
set plan_cache_mode = force_generic_plan
as $$
declare
    l_windows constant timestamptz[] := windows_of(p_bounds);
    l_rolled_up constant timestamptz := rolled_up_until();
    l_interval_s constant integer := (select a.reporting_interval_s from accounting as a);
    l_least_match constant double precision := (select a.least_match from accounting as a);
    l_from timestamptz;
    l_to timestamptz;
    l_hours_from timestamptz;
    l_hours_to timestamptz;
    l_vehicles text[];
begin
    select coalesce(array_agg(distinct v.vehicle_id), '{}')
    into l_vehicles
    from meter_vehicles as v
    where v.meter_id = any(p_meters);
    for l_number in 1 .. cardinality(l_windows) - 1 loop
        l_from := l_windows[l_number];
        l_to := l_windows[l_number + 1];
        l_hours_from := ceil_hour(l_from);
        l_hours_to := greatest(l_hours_from, least(floor_hour(l_to), l_rolled_up));
        return query
        select
            p_bounds[e.bucket],
            p_bounds[e.bucket + 1],
            sum(e.ac_mwh)::bigint,
            coalesce(sum(e.ac_mwh) filter (where e.vehicle_id is null), 0)::bigint,
            coalesce(sum(e.dc_mwh), 0)::bigint,
            coalesce(sum(e.dc_mwh) filter (where e.comparable), 0)::bigint,
            sum(e.ac_mwh) filter (where e.comparable and e.vehicle_id is not null)::bigint,
            coalesce(sum(e.readings) filter (where e.vehicle_id is null), 0)::bigint,
            coalesce(sum(e.readings) filter (where e.vehicle_id is not null), 0)::bigint,
            sum(e.resets)::bigint,
            count(*) filter (where e.vehicle_id is not null and not e.comparable and (e.dc_mwh > 0 or e.ac_mwh > 0)),
            coalesce(sum(e.covered_dc_s) filter (where e.vehicle_id is null), 0)::float8,
            coalesce(sum(e.covered_ac_s) filter (where e.vehicle_id is null), 0),
            coalesce(sum(e.covered_ac_s) filter (where e.vehicle_id is null and e.comparable), 0),
            elapsed_s(p_bounds[e.bucket], p_bounds[e.bucket + 1])::float8 * cardinality(p_meters),
            elapsed_s(p_bounds[e.bucket], p_bounds[e.bucket + 1])::float8 * cardinality(p_meters),
            sum(e.voltage_mv_sum)::bigint,
            min(e.voltage_mv_min),
            max(e.voltage_mv_max)
        from (
            select s.*, width_bucket(greatest(s.hour, l_from), p_bounds) as bucket
            from energy_slices(l_vehicles, p_meters, l_from, l_hours_from, l_hours_to, l_to, l_interval_s, l_least_match) as s
            where s.meter_id = any(p_meters)
        ) as e
        group by e.bucket
        order by e.bucket;
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
    l_from constant timestamptz := p_bounds[1];
    l_to constant timestamptz := p_bounds[2];
    l_hours_from constant timestamptz := ceil_hour(l_from);
    l_hours_to constant timestamptz := greatest(l_hours_from, least(floor_hour(l_to), rolled_up_until()));
    l_interval_s constant integer := (select a.reporting_interval_s from accounting as a);
    l_least_match constant double precision := (select a.least_match from accounting as a);
    l_vehicles constant text[] := (
        select coalesce(array_agg(v.vehicle_id), '{}')
        from meter_vehicles as v
        where v.meter_id = p_meter
    );
begin
    return query
    select
        e.vehicle_id,
        sum(e.dc_mwh)::bigint,
        sum(e.ac_mwh)::bigint,
        coalesce(sum(e.dc_mwh) filter (where e.comparable), 0)::bigint,
        sum(e.ac_mwh) filter (where e.comparable)::bigint,
        sum(e.readings)::bigint
    from energy_slices(
        l_vehicles, array[p_meter], l_from, l_hours_from, l_hours_to, l_to, l_interval_s, l_least_match
    ) as e
    where e.meter_id = p_meter
        and e.vehicle_id is not null
    group by 1;
end;
$$;
