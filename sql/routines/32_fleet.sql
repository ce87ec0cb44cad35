-- The whole fleet: the same accounting as energy_slices(), of all devices. What it comes to in an hour that is
-- rolled up is kept in accounted_energy, so that an answer over many hours only adds up.

-- Rolled up hours of all devices, as accounted_energy keeps them: what is of a meter itself stands in the row
-- of its first vehicle, which makes half as many rows.
create or replace function energy_of_hours(p_from timestamptz, p_to timestamptz)
returns setof accounted_energy
language plpgsql
stable
set jit = off
as $$
begin
    return query
    with slices as materialized (
        select e.*
        from accounting as a
        cross join lateral energy_slices(
            null, null, p_from, p_from, p_to, p_to, a.reporting_interval_s, a.least_match
        ) as e
    ),
    vehicles as (
        select
            s.*,
            case
                when row_number() over (partition by s.hour, s.meter_id order by s.vehicle_id) = 1 then s.meter_id
            end as first_of
        from slices as s
        where s.vehicle_id is not null
    ),
    meters as (
        select *
        from slices as s
        where s.vehicle_id is null
    )
    select
        coalesce(v.hour, m.hour),
        v.vehicle_id,
        coalesce(v.meter_id, m.meter_id),
        coalesce(v.comparable, m.comparable),
        v.dc_mwh,
        v.ac_mwh,
        coalesce(v.readings, 0)::integer,
        (coalesce(v.resets, 0) + coalesce(m.resets, 0))::integer,
        coalesce(v.covered_dc_s, 0)::integer,
        coalesce(v.covered_ac_s, 0)::real,
        m.ac_mwh,
        coalesce(m.readings, 0)::integer,
        coalesce(m.covered_dc_s, 0)::integer,
        coalesce(m.covered_ac_s, 0)::integer
    from vehicles as v
    full join meters as m
        on m.hour = v.hour
        and m.meter_id = v.first_of;
end;
$$;

-- Shares out rolled up hours of the last p_days that are not accounted for, the newest first, at most p_most
-- of them, a transaction each; forgets older ones. Not while late hours are refreshed: an hour that is struck
-- out meanwhile must stay so.
create or replace procedure account_hours(p_days integer default 35, p_most integer default 4)
language plpgsql
as $$
declare
    l_end constant timestamptz := rolled_up_until();
    l_begin constant timestamptz := date_bin('1 day', now() - make_interval(days => p_days), '2000-01-01 00:00:00+00');
    l_first timestamptz;
    l_hour timestamptz;
begin
    if l_end <= l_begin or not pg_try_advisory_lock(hashtext('fleetmeter.refresh_late_hours')) then
        return;
    end if;
    select greatest(l_begin, least(min(v.bucket), min(m.bucket)))
    into l_first
    from (select min(r.bucket) as bucket from rolled_up_vehicle_hours as r where r.bucket >= l_begin) as v
    cross join (select min(r.bucket) as bucket from rolled_up_meter_hours as r where r.bucket >= l_begin) as m;
    for l_hour in
        select h.hour
        from generate_series(l_first, l_end - interval '1 hour', interval '1 hour') as h (hour)
        where not exists (select from accounted_hours as a where a.hour = h.hour)
        order by h.hour desc
        limit p_most
    loop
        -- who changes what it goes by strikes the hour out after this
        perform
        from accounting
        for share;
        delete from accounted_energy as a
        where a.hour = l_hour;
        insert into accounted_energy
        select *
        from energy_of_hours(l_hour, l_hour + interval '1 hour');
        insert into accounted_hours
        values (l_hour);
        commit;
    end loop;
    if exists (select from accounted_hours as a where a.hour < l_begin) then
        delete from accounted_energy as a
        where a.hour < l_begin;
        delete from accounted_hours as a
        where a.hour < l_begin;
    end if;
    perform pg_advisory_unlock(hashtext('fleetmeter.refresh_late_hours'));
end;
$$;

-- Sums to be added up by bucket and vehicle, meter or both, comparable hours apart from others. Where meter_id is
-- null, the vehicle was at no meter. Columns of the meter itself (AC that nobody took among them) stand in
-- only one of its rows an hour, without a vehicle when nobody was there.
create or replace function fleet_energy(p_bounds timestamptz[])
returns table (
    starts timestamptz,
    vehicle_id text,
    meter_id text,
    comparable boolean,
    dc_mwh bigint,
    ac_mwh bigint,
    readings bigint,
    resets bigint,
    hours_with_energy bigint,
    covered_dc_s bigint,
    covered_ac_s double precision,
    unattributed_mwh bigint,
    meter_readings bigint,
    meter_covered_dc_s bigint,
    meter_covered_ac_s bigint
)
language plpgsql
stable
-- a plan for these times
set plan_cache_mode = force_custom_plan
set work_mem = '64MB'
set jit = off
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
    l_accounted timestamptz[];
    l_other timestamptz[];
    l_vehicles text[];
    l_meters text[];
begin
    for l_number in 1 .. cardinality(l_windows) - 1 loop
        l_from := l_windows[l_number];
        l_to := l_windows[l_number + 1];
        l_hours_from := least(ceil_hour(l_from), l_to);
        l_hours_to := greatest(l_hours_from, least(floor_hour(l_to), l_rolled_up));
        select
            coalesce(array_agg(h.hour) filter (where a.hour is not null), '{}'),
            coalesce(array_agg(h.hour order by h.hour) filter (where a.hour is null), '{}')
        into l_accounted, l_other
        from generate_series(l_hours_from, l_hours_to - interval '1 hour', interval '1 hour') as h (hour)
        left join accounted_hours as a
            on a.hour = h.hour;

        return query
        select
            p_bounds[case when cardinality(p_bounds) = 2 then 1 else width_bucket(e.hour, p_bounds) end],
            e.vehicle_id,
            e.meter_id,
            e.comparable,
            sum(e.dc_mwh)::bigint,
            sum(e.ac_mwh)::bigint,
            sum(e.readings),
            sum(e.resets),
            count(*) filter (where e.dc_mwh > 0 or e.ac_mwh > 0),
            sum(e.covered_dc_s),
            sum(e.covered_ac_s::float8),
            sum(e.unattributed_mwh)::bigint,
            sum(e.meter_readings),
            sum(e.meter_covered_dc_s),
            sum(e.meter_covered_ac_s)
        from (
            select *
            from accounted_energy as a
            where a.hour >= l_hours_from
                and a.hour < l_hours_to
                and (cardinality(l_other) = 0 or a.hour = any(l_accounted))
            union all
            -- rolled up, and not accounted for yet: hours that follow each other together
            select o.*
            from (
                select min(h.hour) as first, max(h.hour) as last
                from unnest(l_other) with ordinality as h (hour, number)
                group by h.hour - h.number * interval '1 hour'
            ) as r
            cross join lateral energy_of_hours(r.first, r.last + interval '1 hour') as o
        ) as e
        group by 1, 2, 3, 4;

        -- what is cut or not rolled up, before and after the whole hours
        if l_from < l_hours_from or l_hours_to < l_to then
            l_vehicles := (select array_agg(v.vehicle_id) from vehicle_state as v);
            l_meters := (select array_agg(m.meter_id) from meter_state as m);
            return query
            select
                p_bounds[width_bucket(greatest(e.hour, l_from), p_bounds)],
                e.vehicle_id,
                e.meter_id,
                e.comparable,
                e.dc_mwh,
                case when e.vehicle_id is not null then e.ac_mwh end,
                case when e.vehicle_id is not null then e.readings else 0 end,
                e.resets,
                (e.vehicle_id is not null and (e.dc_mwh > 0 or e.ac_mwh > 0))::integer::bigint,
                case when e.vehicle_id is not null then e.covered_dc_s else 0 end,
                case when e.vehicle_id is not null then e.covered_ac_s else 0 end,
                case when e.vehicle_id is null then e.ac_mwh end,
                case when e.vehicle_id is null then e.readings else 0 end,
                case when e.vehicle_id is null then e.covered_dc_s else 0 end,
                case when e.vehicle_id is null then e.covered_ac_s else 0 end::bigint
            from (
                select *
                from energy_slices(
                    l_vehicles, l_meters, l_from, l_hours_from, l_hours_from, l_hours_from, l_interval_s, l_least_match
                )
                union all
                select *
                from energy_slices(
                    l_vehicles, l_meters, l_hours_to, l_hours_to, l_hours_to, l_to, l_interval_s, l_least_match
                )
            ) as e;
        end if;
    end loop;
end;
$$;

-- The whole fleet between neighbouring bounds. Every device that has not left is expected to report, and one that has
-- left where it did.
create or replace function fleet_sums(p_bounds timestamptz[])
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
    readings_without_meter bigint,
    resets bigint,
    hours_left_out bigint,
    covered_dc_s double precision,
    covered_ac_s double precision,
    compared_s double precision,
    expected_dc_s double precision,
    expected_ac_s double precision
)
language sql
stable
begin atomic
    select
        f.starts,
        p_bounds[array_position(p_bounds, f.starts) + 1],
        (coalesce(sum(f.ac_mwh), 0) + sum(f.unattributed_mwh))::bigint,
        coalesce(sum(f.unattributed_mwh), 0)::bigint,
        coalesce(sum(f.dc_mwh), 0)::bigint,
        coalesce(sum(f.dc_mwh) filter (where f.comparable), 0)::bigint,
        sum(f.ac_mwh) filter (where f.comparable)::bigint,
        sum(f.meter_readings)::bigint,
        sum(f.readings)::bigint,
        coalesce(sum(f.readings) filter (where f.meter_id is null), 0)::bigint,
        sum(f.resets)::bigint,
        coalesce(sum(f.hours_with_energy) filter (where f.meter_id is not null and not f.comparable), 0)::bigint,
        sum(f.covered_dc_s)::float8,
        sum(f.meter_covered_ac_s)::float8,
        coalesce(sum(f.covered_dc_s) filter (where f.comparable), 0)::float8,
        elapsed_s(f.starts, p_bounds[array_position(p_bounds, f.starts) + 1])::float8 * (
            (select count(*) from vehicle_state as s where s.removed_at is null)
            + count(distinct f.vehicle_id) filter (
                where f.vehicle_id in (select s.vehicle_id from vehicle_state as s where s.removed_at is not null)
            )
        ),
        elapsed_s(f.starts, p_bounds[array_position(p_bounds, f.starts) + 1])::float8 * (
            (select count(*) from meter_state as s where s.removed_at is null)
            + count(distinct f.meter_id) filter (
                where f.meter_readings > 0
                    and f.meter_id in (select s.meter_id from meter_state as s where s.removed_at is not null)
            )
        )
    from fleet_energy(p_bounds) as f
    group by f.starts
    order by f.starts;
end;

-- The fleet over one window, as JSON: totals, a page of sites (a meter belongs to one), and a page of
-- vehicles in the order of 'efficiency', 'loss' or 'vehicleId'. What has no value for it comes last. A page begins
-- behind the value and id of the one before; values are negative where the order is descending.
create or replace function fleet_report(
    p_from timestamptz,
    p_to timestamptz,
    p_after_site text,
    p_sites bigint,
    p_sort text,
    p_descending boolean,
    p_after_value double precision,
    p_after_id text,
    p_vehicles bigint
)
returns table (
    totals jsonb,
    sites jsonb,
    vehicles jsonb
)
language sql
stable
begin atomic
    with energy as materialized (
        select *
        from fleet_energy(array[p_from, p_to])
    ),
    by_vehicle as materialized (
        select
            e.vehicle_id,
            sum(e.dc_mwh)::bigint as dc_mwh,
            sum(e.ac_mwh)::bigint as ac_mwh,
            coalesce(sum(e.dc_mwh) filter (where e.comparable), 0)::bigint as compared_dc_mwh,
            sum(e.ac_mwh) filter (where e.comparable)::bigint as compared_ac_mwh,
            sum(e.readings)::bigint as readings,
            coalesce(sum(e.readings) filter (where e.meter_id is null), 0)::bigint as readings_without_meter,
            coalesce(sum(e.hours_with_energy) filter (where e.meter_id is not null and not e.comparable), 0)::bigint as hours_left_out,
            sum(e.covered_dc_s)::float8 as covered_dc_s,
            sum(e.covered_ac_s)::float8 as covered_ac_s,
            coalesce(sum(e.covered_dc_s) filter (where e.comparable), 0)::float8 as compared_s,
            elapsed_s(p_from, p_to)::float8 as expected_s,
            coalesce(array_agg(e.meter_id) filter (where e.meter_id is not null), '{}') as meter_ids
        from energy as e
        where e.vehicle_id is not null
        group by 1
    ),
    expected_vehicles as (
        select
        from vehicle_state as s
        where s.removed_at is null
            or s.vehicle_id in (select v.vehicle_id from by_vehicle as v)
    ),
    expected_meters as (
        select
        from meter_state as s
        where s.removed_at is null
            or s.meter_id in (select e.meter_id from energy as e where e.meter_readings > 0)
    ),
    ranked as (
        select
            v.*,
            case when p_descending then -1 else 1 end * case p_sort
                when 'efficiency' then v.compared_dc_mwh::float8 / nullif(v.compared_ac_mwh, 0)
                when 'loss' then v.compared_ac_mwh - v.compared_dc_mwh
            end::float8 as value
        from by_vehicle as v
    ),
    page as (
        select r.*, s.label, s.site
        from ranked as r
        left join vehicle_settings as s
            on s.vehicle_id = r.vehicle_id
        where p_after_id is null
            or case
                when r.value is null then p_after_value is not null or r.vehicle_id > p_after_id
                else r.value > p_after_value or r.value = p_after_value and r.vehicle_id > p_after_id
            end
        order by r.value nulls last, r.vehicle_id
        limit p_vehicles
    ),
    by_site as (
        select
            s.site,
            (coalesce(sum(e.ac_mwh), 0) + sum(e.unattributed_mwh))::bigint as ac_mwh,
            coalesce(sum(e.unattributed_mwh), 0)::bigint as unattributed_mwh,
            coalesce(sum(e.dc_mwh), 0)::bigint as dc_mwh,
            coalesce(sum(e.dc_mwh) filter (where e.comparable), 0)::bigint as compared_dc_mwh,
            sum(e.ac_mwh) filter (where e.comparable)::bigint as compared_ac_mwh,
            coalesce(sum(e.hours_with_energy) filter (where not e.comparable), 0)::bigint as hours_left_out,
            coalesce(sum(e.meter_readings), 0)::bigint as meter_readings,
            coalesce(sum(e.readings), 0)::bigint as vehicle_readings,
            coalesce(sum(e.resets), 0)::bigint as resets,
            coalesce(sum(e.meter_covered_dc_s), 0)::float8 as covered_dc_s,
            coalesce(sum(e.meter_covered_ac_s), 0)::float8 as covered_ac_s,
            coalesce(sum(e.meter_covered_dc_s) filter (where e.comparable), 0)::float8 as compared_s,
            elapsed_s(p_from, p_to)::float8 * count(distinct e.meter_id) as expected_dc_s,
            elapsed_s(p_from, p_to)::float8 * count(distinct e.meter_id) as expected_ac_s,
            count(distinct e.meter_id) as meters,
            count(distinct e.vehicle_id) as vehicles
        from energy as e
        left join meter_settings as s
            on s.meter_id = e.meter_id
        where e.meter_id is not null
        group by 1
    ),
    site_page as (
        select *
        from by_site as s
        where p_after_site is null
            or s.site > p_after_site
            or s.site is null
        order by s.site nulls last
        limit p_sites
    )
    select
        jsonb_build_object(
            'ac_mwh', (coalesce(sum(e.ac_mwh), 0) + sum(e.unattributed_mwh))::bigint,
            'unattributed_mwh', coalesce(sum(e.unattributed_mwh), 0)::bigint,
            'dc_mwh', coalesce(sum(e.dc_mwh), 0)::bigint,
            'compared_dc_mwh', coalesce(sum(e.dc_mwh) filter (where e.comparable), 0)::bigint,
            'compared_ac_mwh', sum(e.ac_mwh) filter (where e.comparable)::bigint,
            'meter_readings', coalesce(sum(e.meter_readings), 0)::bigint,
            'vehicle_readings', coalesce(sum(e.readings), 0)::bigint,
            'readings_without_meter', coalesce(sum(e.readings) filter (where e.meter_id is null), 0)::bigint,
            'resets', coalesce(sum(e.resets), 0)::bigint,
            'hours_left_out', coalesce(sum(e.hours_with_energy) filter (where e.meter_id is not null and not e.comparable), 0)::bigint,
            'covered_dc_s', coalesce(sum(e.covered_dc_s), 0)::float8,
            'covered_ac_s', coalesce(sum(e.meter_covered_ac_s), 0)::float8,
            'compared_s', coalesce(sum(e.covered_dc_s) filter (where e.comparable), 0)::float8,
            'expected_dc_s', elapsed_s(p_from, p_to)::float8 * (select count(*) from expected_vehicles),
            'expected_ac_s', elapsed_s(p_from, p_to)::float8 * (select count(*) from expected_meters),
            'vehicles', (select count(*) from expected_vehicles),
            'meters', (select count(*) from expected_meters),
            'vehicles_reporting', (select count(*) from by_vehicle),
            'meters_reporting', count(distinct e.meter_id) filter (where e.meter_readings > 0)
        ),
        (select coalesce(jsonb_agg(s), '[]') from site_page as s),
        (
            select coalesce(
                jsonb_agg(
                    to_jsonb(p) || jsonb_build_object(
                        'meter_ids',
                        (select coalesce(jsonb_agg(distinct m.id), '[]') from unnest(p.meter_ids) as m (id))
                    )
                    order by p.value nulls last, p.vehicle_id
                ),
                '[]'
            )
            from page as p
        )
    from energy as e;
end;
