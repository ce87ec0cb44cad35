-- The whole fleet: the same accounting as energy_slices(), for all devices. The result for an hour that is rolled up is
-- kept in accounted_energy, so that an answer over many hours only adds up.

-- Returns the part of the AC that can be compared; null when no time can.
create or replace function compared_mwh(p_ac numeric, p_left_out numeric, p_covered_ms numeric, p_left_out_ms numeric)
returns bigint
language sql
immutable
parallel safe
return case
    when p_covered_ms > coalesce(p_left_out_ms, 0) then (coalesce(p_ac, 0) - coalesce(p_left_out, 0))::bigint
end;

-- Returns all vehicles and chargers' meters, also meters that vehicles charged at but that never reported.
create or replace function fleet_devices()
returns integer[]
language plpgsql
stable
as $$
begin
    return array(
        select d.device
        from devices as d
        where d.device not in (select n.device from no_chargers() as n)
    );
end;
$$;

-- Returns whole hours of all devices, as accounted_energy keeps them, or the quarter hours in them (p_unit): a
-- meter's own columns are in the row of its first vehicle, which halves the number of rows.
create or replace function energy_of_hours(p_from timestamptz, p_to timestamptz, p_unit interval)
returns setof accounted_energy
language plpgsql
stable
set jit = off
as $$
begin
    return query
    with slices as materialized (
        select
            c.*,
            sum(c.resets) filter (where c.vehicle is null) over (partition by c.bucket, c.meter) as meter_resets
        from compared_slices(devices_of_hours(), p_from, p_to) as c
    ),
    vehicles as (
        select
            s.*,
            case
                when row_number() over (partition by s.bucket, s.meter order by s.vehicle) = 1 then s.meter
            end as first_of
        from slices as s
        where s.vehicle is not null
    ),
    meters as (
        select *
        from slices as s
        where s.vehicle is null
    )
    select
        date_bin(p_unit, coalesce(v.bucket, m.bucket), '2000-01-01 00:00:00+00'),
        v.vehicle,
        coalesce(v.meter, m.meter),
        sum(v.dc_mwh)::bigint,
        sum(v.ac_mwh)::bigint,
        coalesce(sum(v.readings), 0)::integer,
        (coalesce(sum(v.resets), 0) + coalesce(sum(m.resets), 0))::integer,
        coalesce(sum(v.covered_dc_ms), 0)::bigint,
        coalesce(sum(v.covered_ac_ms), 0),
        sum(m.ac_mwh)::bigint,
        coalesce(sum(m.readings), 0)::integer,
        coalesce(sum(m.covered_dc_ms), 0)::bigint,
        coalesce(sum(m.covered_ac_ms), 0)::bigint,
        nullif(sum(v.dc_mwh) - coalesce(sum(v.compared_dc_mwh), 0), 0)::bigint,
        nullif(sum(v.ac_mwh) - coalesce(sum(v.compared_ac_mwh), 0), 0)::bigint,
        nullif(sum(v.covered_dc_ms) - sum(v.compared_ms), 0)::bigint,
        nullif(sum(m.covered_ac_ms) - sum(m.compared_ms), 0)::bigint,
        nullif(sum(v.charging_ms), 0)::bigint,
        nullif(sum(v.charging_compared_ms), 0)::bigint,
        nullif(sum(m.charging_ms), 0)::bigint,
        nullif(sum(m.charging_compared_ms), 0)::bigint,
        nullif(
            sum(v.resets) + coalesce(sum(v.meter_resets) filter (where v.dc_mwh > 0 or v.ac_mwh > 0), 0), 0
        )::integer,
        min(v.soc_bp_min),
        max(v.soc_bp_max),
        nullif(sum(v.battery_temp_cdeg_count), 0)::integer,
        sum(v.battery_temp_cdeg_sum) filter (where v.battery_temp_cdeg_count > 0)::bigint,
        max(v.battery_temp_cdeg_max)
    from vehicles as v
    full join meters as m
        on m.bucket = v.bucket
        and m.meter = v.first_of
    group by 1, 2, 3;
end;
$$;

-- Apportions accountable hours of the last p_days that are not accounted for, newest first, at most p_most of them, a
-- transaction each; deletes older ones. Not while late hours are refreshed: an hour deleted meanwhile must stay
-- deleted.
create or replace procedure account_hours(p_days integer default 35, p_most integer default 4)
language plpgsql
as $$
declare
    l_end constant timestamptz := accountable_until();
    l_begin constant timestamptz := date_bin('1 day', now() - make_interval(days => p_days), '2000-01-01 00:00:00+00');
    l_first timestamptz;
    l_hour timestamptz;
begin
    if l_end <= l_begin or not pg_try_advisory_lock(hashtext('fleetmeter.refresh_late_hours')) then
        return;
    end if;
    l_first := accountable_from(l_begin);
    for l_hour in
        select h.hour
        from generate_series(l_first, l_end - interval '1 hour', interval '1 hour') as h (hour)
        where not exists (select from accounted_hours as a where a.hour = h.hour)
        order by h.hour desc
        limit p_most
    loop
        -- a session that changes its input waits, and deletes the hour afterwards
        perform
        from accounting
        for share;
        -- a crash may lose the newest of these hours: they are accounted for again
        perform set_config('synchronous_commit', 'off', true);
        delete from accounted_energy as a
        where a.hour = l_hour;
        insert into accounted_energy
        select *
        from energy_of_hours(l_hour, l_hour + interval '1 hour', interval '1 hour');
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

-- Returns accounted hours of a window, added up by bucket: all of the window or only some (p_hours). With p_apart, only
-- these devices have rows of their own: the others are added up, with meter 0 for any meter (as rows, they would cost
-- ten times as much).
create or replace function accounted_fleet(
    p_from timestamptz,
    p_to timestamptz,
    p_hours timestamptz[],
    p_bounds timestamptz[],
    p_apart integer[]
)
returns setof fleet_part
language plpgsql
stable
as $$
declare
    l_is_gapless constant boolean := cardinality(p_hours) * interval '1 hour' = p_to - p_from;
begin
    return query
    select
        p_bounds[case when cardinality(p_bounds) = 2 then 1 else width_bucket(e.hour, p_bounds) end],
        case when p_apart is null or e.vehicle = any(p_apart) then e.vehicle end,
        case when p_apart is null or e.meter = any(p_apart) then e.meter when e.meter is not null then 0 end,
        sum(e.dc_mwh)::bigint,
        sum(e.ac_mwh)::bigint,
        sum(e.readings),
        sum(e.resets),
        sum(e.covered_dc_ms)::bigint,
        sum(e.covered_ac_ms),
        sum(e.unattributed_mwh)::bigint,
        sum(e.meter_readings),
        sum(e.meter_covered_dc_ms)::bigint,
        sum(e.meter_covered_ac_ms)::bigint,
        sum(e.left_out_dc_mwh)::bigint,
        sum(e.left_out_ac_mwh)::bigint,
        sum(e.left_out_ms)::bigint,
        sum(e.meter_left_out_ms)::bigint,
        sum(e.charging_ms)::bigint,
        sum(e.charging_compared_ms)::bigint,
        sum(e.meter_charging_ms)::bigint,
        sum(e.meter_charging_compared_ms)::bigint
    from accounted_energy as e
    where e.hour >= p_from
        and e.hour < p_to
        and (l_is_gapless or e.hour = any(p_hours))
    group by 1, 2, 3;
end;
$$;

-- Returns whole hours that are not accounted for but could be, apportioned here: by the hour or, where a bucket begins
-- within one, by the quarter hour (p_unit).
create or replace function fleet_hours_to_share(
    p_from timestamptz,
    p_to timestamptz,
    p_unit interval,
    p_bounds timestamptz[]
)
returns setof fleet_part
language plpgsql
stable
as $$
begin
    return query
    select
        p_bounds[case when cardinality(p_bounds) = 2 then 1 else width_bucket(o.hour, p_bounds) end],
        o.vehicle,
        o.meter,
        o.dc_mwh,
        o.ac_mwh,
        o.readings::bigint,
        o.resets::bigint,
        o.covered_dc_ms,
        o.covered_ac_ms,
        o.unattributed_mwh,
        o.meter_readings::bigint,
        o.meter_covered_dc_ms,
        o.meter_covered_ac_ms,
        o.left_out_dc_mwh,
        o.left_out_ac_mwh,
        o.left_out_ms,
        o.meter_left_out_ms,
        o.charging_ms,
        o.charging_compared_ms,
        o.meter_charging_ms,
        o.meter_charging_compared_ms
    from energy_of_hours(p_from, p_to, p_unit) as o;
end;
$$;

-- Returns what a window has before and after those whole hours: hours that it cuts or that are not accountable yet,
-- apportioned here, without the measurements that the fleet's answer does not show.
create or replace function fleet_edges_to_share(
    p_from timestamptz,
    p_hours_from timestamptz,
    p_hours_to timestamptz,
    p_to timestamptz,
    p_rolled_up timestamptz,
    p_bounds timestamptz[]
)
returns setof fleet_part
language plpgsql
stable
as $$
declare
    l_devices constant integer[] := fleet_devices();
begin
    return query
    select
        p_bounds[width_bucket(greatest(e.bucket, p_from), p_bounds)],
        e.vehicle,
        e.meter,
        sum(e.dc_mwh)::bigint,
        case when e.vehicle is not null then sum(e.ac_mwh) end::bigint,
        case when e.vehicle is not null then sum(e.readings) else 0 end::bigint,
        sum(e.resets)::bigint,
        case when e.vehicle is not null then sum(e.covered_dc_ms) else 0 end::bigint,
        case when e.vehicle is not null then sum(e.covered_ac_ms) else 0 end,
        case when e.vehicle is null then sum(e.ac_mwh) end::bigint,
        case when e.vehicle is null then sum(e.readings) else 0 end::bigint,
        case when e.vehicle is null then sum(e.covered_dc_ms) else 0 end::bigint,
        case when e.vehicle is null then sum(e.covered_ac_ms) else 0 end::bigint,
        (sum(e.dc_mwh) - coalesce(sum(e.compared_dc_mwh), 0))::bigint,
        case when e.vehicle is not null then sum(e.ac_mwh) - coalesce(sum(e.compared_ac_mwh), 0) end::bigint,
        case when e.vehicle is not null then sum(e.covered_dc_ms) - sum(e.compared_ms) end::bigint,
        case when e.vehicle is null then sum(e.covered_ac_ms) - sum(e.compared_ms)::float8 end::bigint,
        case when e.vehicle is not null then sum(e.charging_ms) end::bigint,
        case when e.vehicle is not null then sum(e.charging_compared_ms) end::bigint,
        case when e.vehicle is null then sum(e.charging_ms) end::bigint,
        case when e.vehicle is null then sum(e.charging_compared_ms) end::bigint
    from (
        select *
        from compared_slices(l_devices, p_from, p_hours_from, p_rolled_up, true)
        union all
        select *
        from compared_slices(l_devices, p_hours_to, p_to, p_rolled_up, true)
    ) as e
    group by 1, 2, 3;
end;
$$;

-- Returns the parts of the fleet's answer: hours that are accounted for (accounted_fleet()), other whole hours, and
-- what the window cuts.
create or replace function fleet_energy(p_bounds timestamptz[], p_apart integer[] default null)
returns setof fleet_part
language plpgsql
stable
-- a plan for these times, here and in what this calls
set plan_cache_mode = force_custom_plan
set work_mem = '64MB'
set jit = off
-- beside others, workers cost more than they save
set max_parallel_workers_per_gather = 0
as $$
declare
    l_windows constant timestamptz[] := windows_of(p_bounds);
    -- accounting by the hour does not show where in it another bucket begins: such an hour is apportioned again
    l_cut constant timestamptz[] := hours_cut_by(p_bounds);
    l_unit constant interval := case when cardinality(l_cut) > 0 then interval '15 minutes' else interval '1 hour' end;
    l_rolled_up_until constant timestamptz := rolled_up_until();
    l_accountable_until constant timestamptz := accountable_until();
    l_kept_since constant timestamptz := kept_since();
    l_from timestamptz;
    l_to timestamptz;
    l_hours_from timestamptz;
    l_hours_to timestamptz;
    l_hours timestamptz[];
    l_rest tstzrange;
begin
    for l_number in 1 .. cardinality(l_windows) - 1 loop
        l_from := l_windows[l_number];
        l_to := l_windows[l_number + 1];
        l_hours_from := least(ceil_hour(l_from), l_to);
        l_hours_to := greatest(l_hours_from, least(floor_hour(l_to), l_accountable_until));
        l_hours := accounted_hours_of(l_hours_from, l_hours_to, l_kept_since, l_cut);
        if cardinality(l_hours) > 0 then
            return query
            select *
            from accounted_fleet(l_hours_from, l_hours_to, l_hours, p_bounds, p_apart);
        end if;
        for l_rest in
            select *
            from other_than_hours(l_hours_from, l_hours_to, l_hours)
        loop
            return query
            select *
            from fleet_hours_to_share(lower(l_rest), upper(l_rest), l_unit, p_bounds);
        end loop;
        if l_from < l_hours_from or l_hours_to < l_to then
            return query
            select *
            from fleet_edges_to_share(l_from, l_hours_from, l_hours_to, l_to, l_rolled_up_until, p_bounds);
        end if;
    end loop;
end;
$$;

-- Returns what fleet_energy() has of the devices within reach: a vehicle's columns if the vehicle is, a meter's own if
-- the meter is (`is_of_fleet`; the resets of a row are those of both, and at a meter outside, the charging time is what
-- the vehicle's readings show); and whole rows of the meters within reach, whichever vehicles were there
-- (`is_of_meter`). p_apart counts where everything is within reach.
create or replace function fleet_energy_within(
    p_bounds timestamptz[],
    p_reach_ids text[],
    p_reach_sites text[],
    p_apart integer[] default null
)
returns setof fleet_part_within
language sql
stable
begin atomic
    select e.*, true, true
    from fleet_energy(p_bounds, p_apart) as e
    where p_reach_ids is null
        and p_reach_sites is null
    union all
    select
        s.starts,
        case when s.has_vehicle then s.vehicle end,
        s.meter,
        case when s.has_vehicle then s.dc_mwh end,
        case when s.has_vehicle then s.ac_mwh end,
        case when s.has_vehicle then s.readings else 0 end,
        s.resets,
        case when s.has_vehicle then s.covered_dc_ms else 0 end,
        case when s.has_vehicle then s.covered_ac_ms else 0 end,
        case when s.has_meter then s.unattributed_mwh end,
        case when s.has_meter then s.meter_readings else 0 end,
        case when s.has_meter then s.meter_covered_dc_ms else 0 end,
        case when s.has_meter then s.meter_covered_ac_ms else 0 end,
        case when s.has_vehicle then s.left_out_dc_mwh end,
        case when s.has_vehicle then s.left_out_ac_mwh end,
        case when s.has_vehicle then s.left_out_ms end,
        case when s.has_meter then s.meter_left_out_ms end,
        case when s.has_vehicle then s.charging_ms end,
        case when s.has_vehicle then s.charging_compared_ms end,
        case when s.has_meter then s.meter_charging_ms when s.meter is not null then s.charging_ms end,
        case
            when s.has_meter then s.meter_charging_compared_ms
            when s.meter is not null then s.charging_compared_ms
        end,
        s.is_of_fleet,
        s.has_meter and (s.has_vehicle or s.vehicle is null)
    from (
        select
            e.*,
            f.is_of_fleet,
            w.vehicle_within or not f.is_of_fleet as has_vehicle,
            w.meter_within as has_meter
        from fleet_energy(p_bounds) as e
        left join devices as v
            on v.device = e.vehicle
        left join devices as m
            on m.device = e.meter
        cross join lateral (
            select
                v.device is not null and within_reach(v.id, v.site, p_reach_ids, p_reach_sites) as vehicle_within,
                m.device is not null and within_reach(m.id, m.site, p_reach_ids, p_reach_sites) as meter_within
        ) as w
        -- a vehicle outside at a meter within: a row without the vehicle, and the whole row for the meter
        join (values (true), (false)) as f (is_of_fleet)
            on case
                when f.is_of_fleet then w.vehicle_within or w.meter_within
                else w.meter_within and e.vehicle is not null and not w.vehicle_within
            end
        where p_reach_ids is not null
            or p_reach_sites is not null
    ) as s;
end;

-- Returns the sums of the fleet, or of its devices within reach, between neighbouring bounds. Every device that has not
-- been removed is expected to report, and a removed one in the buckets in which it did.
create or replace function fleet_sums(
    p_bounds timestamptz[],
    p_reach_ids text[] default null,
    p_reach_sites text[] default null
)
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
    covered_dc_s double precision,
    covered_ac_s double precision,
    compared_s double precision,
    charging_s double precision,
    charging_compared_s double precision,
    dc_while_charging boolean,
    ac_while_charging boolean,
    expected_dc_s double precision,
    expected_ac_s double precision
)
language sql
stable
begin atomic
    with there as (
        select s.device, s.removed_at, d.kind
        from live_state as s
        join devices as d
            on d.device = s.device
        where coalesce(d.role, 'charger') = 'charger'
            and within_reach(d.id, d.site, p_reach_ids, p_reach_sites)
    )
    select
        f.starts,
        p_bounds[array_position(p_bounds, f.starts) + 1],
        -- with a meter outside, there may be no energy that no vehicle took
        coalesce(sum(f.ac_mwh) + sum(f.unattributed_mwh), sum(f.ac_mwh), sum(f.unattributed_mwh))::bigint,
        coalesce(sum(f.unattributed_mwh), 0)::bigint,
        coalesce(sum(f.dc_mwh), 0)::bigint,
        (coalesce(sum(f.dc_mwh), 0) - coalesce(sum(f.left_out_dc_mwh), 0))::bigint,
        compared_mwh(sum(f.ac_mwh), sum(f.left_out_ac_mwh), sum(f.covered_dc_ms), sum(f.left_out_ms)),
        sum(f.meter_readings)::bigint,
        sum(f.readings)::bigint,
        coalesce(sum(f.readings) filter (where f.meter is null), 0)::bigint,
        sum(f.resets)::bigint,
        sum(f.covered_dc_ms) / 1000.0::float8,
        sum(f.meter_covered_ac_ms) / 1000.0::float8,
        (sum(f.covered_dc_ms) - coalesce(sum(f.left_out_ms), 0)) / 1000.0::float8,
        (
            coalesce(sum(f.meter_charging_ms), 0)
            + coalesce(sum(f.charging_ms) filter (where f.meter is null), 0)
        ) / 1000.0::float8,
        coalesce(sum(f.meter_charging_compared_ms), 0) / 1000.0::float8,
        all_report_while_charging(array(select t.device from there as t where t.kind = 'vehicle')),
        all_report_while_charging(array(select t.device from there as t where t.kind = 'meter')),
        elapsed_ms(f.starts, p_bounds[array_position(p_bounds, f.starts) + 1]) / 1000.0::float8 * (
            (select count(*) from there as t where t.kind = 'vehicle' and t.removed_at is null)
            + count(distinct f.vehicle) filter (
                where f.vehicle in (select t.device from there as t where t.removed_at is not null)
            )
        ),
        elapsed_ms(f.starts, p_bounds[array_position(p_bounds, f.starts) + 1]) / 1000.0::float8 * (
            (select count(*) from there as t where t.kind = 'meter' and t.removed_at is null)
            + count(distinct f.meter) filter (
                where f.unattributed_mwh is not null
                    and f.meter in (select t.device from there as t where t.removed_at is not null)
            )
        )
    from fleet_energy_within(
        p_bounds,
        p_reach_ids,
        p_reach_sites,
        array(select s.device from live_state as s where s.removed_at is not null)
    ) as f
    where f.is_of_fleet
    group by f.starts
    order by f.starts;
end;

-- Returns the numbers of the vehicles and of the meters within reach that are expected to report: all that have not
-- been removed, and removed ones that did report. Null where there are none.
create or replace function expected_devices(p_reporting integer[], p_reach_ids text[], p_reach_sites text[])
returns table (
    vehicles integer[],
    meters integer[]
)
language plpgsql
stable
as $$
begin
    return query
    select
        array_agg(d.device) filter (where d.kind = 'vehicle'),
        array_agg(d.device) filter (where d.kind = 'meter')
    from live_state as s
    join devices as d
        on d.device = s.device
    where coalesce(d.role, 'charger') = 'charger'
        and within_reach(d.id, d.site, p_reach_ids, p_reach_sites)
        and (s.removed_at is null or s.device in (select u.device from unnest(p_reporting) as u (device)));
end;
$$;

-- Returns the sums of the fleet over one window as JSON, with how many devices report and how many are expected to.
create or replace function fleet_totals(
    p_parts fleet_part_within[],
    p_from timestamptz,
    p_to timestamptz,
    p_reach_ids text[],
    p_reach_sites text[]
)
returns jsonb
language plpgsql
stable
as $$
declare
    l_elapsed_s constant double precision := elapsed_ms(p_from, p_to) / 1000.0::float8;
    l_sums jsonb;
    l_vehicles integer[];
    l_meters integer[];
begin
    select
        jsonb_build_object(
            'ac_mwh',
            coalesce(sum(e.ac_mwh) + sum(e.unattributed_mwh), sum(e.ac_mwh), sum(e.unattributed_mwh))::bigint,
            'unattributed_mwh', coalesce(sum(e.unattributed_mwh), 0)::bigint,
            'dc_mwh', coalesce(sum(e.dc_mwh), 0)::bigint,
            'compared_dc_mwh', (coalesce(sum(e.dc_mwh), 0) - coalesce(sum(e.left_out_dc_mwh), 0))::bigint,
            'compared_ac_mwh',
            compared_mwh(sum(e.ac_mwh), sum(e.left_out_ac_mwh), sum(e.covered_dc_ms), sum(e.left_out_ms)),
            'meter_readings', coalesce(sum(e.meter_readings), 0)::bigint,
            'vehicle_readings', coalesce(sum(e.readings), 0)::bigint,
            'readings_without_meter', coalesce(sum(e.readings) filter (where e.meter is null), 0)::bigint,
            'resets', coalesce(sum(e.resets), 0)::bigint,
            'covered_dc_s', coalesce(sum(e.covered_dc_ms), 0) / 1000.0::float8,
            'covered_ac_s', coalesce(sum(e.meter_covered_ac_ms), 0) / 1000.0::float8,
            'compared_s', (coalesce(sum(e.covered_dc_ms), 0) - coalesce(sum(e.left_out_ms), 0)) / 1000.0::float8,
            'charging_s',
            (
                coalesce(sum(e.meter_charging_ms), 0)
                + coalesce(sum(e.charging_ms) filter (where e.meter is null), 0)
            ) / 1000.0::float8,
            'charging_compared_s', coalesce(sum(e.meter_charging_compared_ms), 0) / 1000.0::float8
        ),
        coalesce(array_agg(distinct e.vehicle) filter (where e.vehicle is not null), '{}'),
        coalesce(array_agg(distinct e.meter) filter (where e.unattributed_mwh is not null), '{}')
    into l_sums, l_vehicles, l_meters
    from unnest(p_parts) as e
    where e.is_of_fleet;
    return (
        select l_sums || jsonb_build_object(
            'dc_while_charging', all_report_while_charging(x.vehicles),
            'ac_while_charging', all_report_while_charging(x.meters),
            'expected_dc_s', l_elapsed_s * coalesce(cardinality(x.vehicles), 0),
            'expected_ac_s', l_elapsed_s * coalesce(cardinality(x.meters), 0),
            'vehicles', coalesce(cardinality(x.vehicles), 0),
            'meters', coalesce(cardinality(x.meters), 0),
            'vehicles_reporting', cardinality(l_vehicles),
            'meters_reporting', cardinality(l_meters)
        )
        from expected_devices(l_vehicles || l_meters, p_reach_ids, p_reach_sites) as x
    );
end;
$$;

-- Returns a page of the sites over one window as JSON, in the order of their names, after p_after_site: the sums of the
-- meters of each, and of the vehicles there.
create or replace function fleet_sites(
    p_parts fleet_part_within[],
    p_from timestamptz,
    p_to timestamptz,
    p_after_site text,
    p_sites bigint
)
returns jsonb
language plpgsql
stable
as $$
begin
    return (
        select coalesce(
            jsonb_agg(
                to_jsonb(s) - '{vehicle_numbers,meter_numbers}'::text[] || jsonb_build_object(
                    'dc_while_charging', all_report_while_charging(s.vehicle_numbers),
                    'ac_while_charging', all_report_while_charging(s.meter_numbers)
                )
            ),
            '[]'
        )
        from (
            select
                d.site,
                (coalesce(sum(e.ac_mwh), 0) + sum(e.unattributed_mwh))::bigint as ac_mwh,
                coalesce(sum(e.unattributed_mwh), 0)::bigint as unattributed_mwh,
                coalesce(sum(e.dc_mwh), 0)::bigint as dc_mwh,
                (coalesce(sum(e.dc_mwh), 0) - coalesce(sum(e.left_out_dc_mwh), 0))::bigint as compared_dc_mwh,
                compared_mwh(sum(e.ac_mwh), sum(e.left_out_ac_mwh), sum(e.covered_dc_ms), sum(e.left_out_ms))
                    as compared_ac_mwh,
                coalesce(sum(e.meter_readings), 0)::bigint as meter_readings,
                coalesce(sum(e.readings), 0)::bigint as vehicle_readings,
                coalesce(sum(e.resets), 0)::bigint as resets,
                coalesce(sum(e.meter_covered_dc_ms), 0) / 1000.0::float8 as covered_dc_s,
                coalesce(sum(e.meter_covered_ac_ms), 0) / 1000.0::float8 as covered_ac_s,
                (coalesce(sum(e.meter_covered_ac_ms), 0) - coalesce(sum(e.meter_left_out_ms), 0)) / 1000.0::float8
                    as compared_s,
                coalesce(sum(e.meter_charging_ms), 0) / 1000.0::float8 as charging_s,
                coalesce(sum(e.meter_charging_compared_ms), 0) / 1000.0::float8 as charging_compared_s,
                array_agg(distinct e.vehicle) filter (where e.vehicle is not null) as vehicle_numbers,
                array_agg(distinct e.meter) as meter_numbers,
                elapsed_ms(p_from, p_to) / 1000.0::float8 * count(distinct e.meter) as expected_dc_s,
                elapsed_ms(p_from, p_to) / 1000.0::float8 * count(distinct e.meter) as expected_ac_s,
                count(distinct e.meter) as meters,
                count(distinct e.vehicle) as vehicles
            from unnest(p_parts) as e
            join devices as d
                on d.device = e.meter
            where e.is_of_meter
                and (p_after_site is null or d.site > p_after_site or d.site is null)
            group by 1
            order by d.site nulls last
            limit p_sites
        ) as s
    );
end;
$$;

-- Returns meters at which only one vehicle ever charged, with that vehicle (null: not among the parts) and how long the
-- meters show charging.
create or replace function meters_of_one_vehicle(p_parts fleet_part_within[])
returns table (
    meter integer,
    vehicle integer,
    charging_ms numeric,
    charging_compared_ms numeric
)
language plpgsql
stable
as $$
begin
    return query
    select
        e.meter,
        max(e.vehicle),
        sum(e.meter_charging_ms),
        sum(e.meter_charging_compared_ms)
    from unnest(p_parts) as e
    where e.is_of_fleet
        and e.meter in (select v.meter from meter_vehicles as v group by v.meter having count(*) = 1)
    group by 1;
end;
$$;

-- Returns the sums of each vehicle over one window. `charging_ms` is what its readings show, except at meters at which
-- no other vehicle ever charged; `charging_s` is that and what those meters show. `meters` are those it was at, once
-- for each part, null for none.
create or replace function fleet_vehicles(p_parts fleet_part_within[], p_from timestamptz, p_to timestamptz)
returns table (
    vehicle integer,
    dc_mwh bigint,
    ac_mwh bigint,
    compared_dc_mwh bigint,
    compared_ac_mwh bigint,
    readings bigint,
    readings_without_meter bigint,
    covered_dc_s double precision,
    covered_ac_s double precision,
    compared_s double precision,
    charging_ms numeric,
    charging_compared_ms numeric,
    expected_s double precision,
    meters integer[],
    charging_s double precision,
    charging_compared_s double precision
)
language plpgsql
stable
as $$
begin
    return query
    with of_one_vehicle as materialized (
        select *
        from meters_of_one_vehicle(p_parts)
    ),
    by_vehicle as (
        select
            e.vehicle,
            sum(e.dc_mwh)::bigint,
            sum(e.ac_mwh)::bigint,
            (coalesce(sum(e.dc_mwh), 0) - coalesce(sum(e.left_out_dc_mwh), 0))::bigint,
            compared_mwh(sum(e.ac_mwh), sum(e.left_out_ac_mwh), sum(e.covered_dc_ms), sum(e.left_out_ms)),
            sum(e.readings)::bigint,
            coalesce(sum(e.readings) filter (where e.meter is null), 0)::bigint,
            sum(e.covered_dc_ms) / 1000.0::float8,
            sum(e.covered_ac_ms) / 1000.0::float8,
            (sum(e.covered_dc_ms) - coalesce(sum(e.left_out_ms), 0)) / 1000.0::float8,
            sum(e.charging_ms) filter (where o.meter is null) as charging_ms,
            sum(e.charging_compared_ms) filter (where o.meter is null) as charging_compared_ms,
            elapsed_ms(p_from, p_to) / 1000.0::float8,
            array_agg(e.meter)
        from unnest(p_parts) as e
        left join of_one_vehicle as o
            on o.meter = e.meter
        where e.vehicle is not null
            and e.is_of_fleet
        group by 1
    )
    select
        v.*,
        (coalesce(v.charging_ms, 0) + coalesce(o.charging_ms, 0)) / 1000.0::float8,
        (coalesce(v.charging_compared_ms, 0) + coalesce(o.charging_compared_ms, 0)) / 1000.0::float8
    from by_vehicle as v
    left join (
        select
            m.vehicle,
            sum(m.charging_ms) as charging_ms,
            sum(m.charging_compared_ms) as charging_compared_ms
        from of_one_vehicle as m
        group by 1
    ) as o
        on o.vehicle = v.vehicle;
end;
$$;

-- Returns a page of the vehicles over one window as JSON, in the order of 'efficiency', 'loss' or 'vehicleId'. Vehicles
-- without a value come last. A page begins after the value and id of the one before; values are negative if the order
-- is descending.
create or replace function fleet_ranking(
    p_parts fleet_part_within[],
    p_from timestamptz,
    p_to timestamptz,
    p_sort text,
    p_descending boolean,
    p_after_value double precision,
    p_after_id text,
    p_vehicles bigint,
    p_reach_ids text[],
    p_reach_sites text[]
)
returns jsonb
language plpgsql
stable
as $$
begin
    return (
        with ranked as (
            select
                d.id as vehicle_id,
                d.label,
                d.site,
                v.*,
                case when p_descending then -1 else 1 end * case p_sort
                    when 'efficiency' then v.compared_dc_mwh::float8 / nullif(v.compared_ac_mwh, 0)
                    when 'loss' then v.compared_ac_mwh - v.compared_dc_mwh
                end::float8 as value
            from fleet_vehicles(p_parts, p_from, p_to) as v
            join devices as d
                on d.device = v.vehicle
        ),
        page as (
            select *
            from ranked as r
            where p_after_id is null
                or case
                    when r.value is null then p_after_value is not null or r.vehicle_id > p_after_id
                    else r.value > p_after_value or r.value = p_after_value and r.vehicle_id > p_after_id
                end
            order by r.value nulls last, r.vehicle_id
            limit p_vehicles
        )
        select coalesce(
            jsonb_agg(
                to_jsonb(p) || jsonb_build_object(
                    'meters', cardinality(array_remove(p.meters, null)),
                    'meter_ids',
                    array(
                        select m.id
                        from devices as m
                        where m.device = any(p.meters)
                            and within_reach(m.id, m.site, p_reach_ids, p_reach_sites)
                        order by m.id
                    ),
                    'dc_while_charging', all_report_while_charging(array[p.vehicle]),
                    'ac_while_charging',
                    all_report_while_charging(array[p.vehicle]) or all_report_while_charging(p.meters)
                )
                order by p.value nulls last, p.vehicle_id
            ),
            '[]'
        )
        from page as p
    );
end;
$$;

-- Returns the fleet, or its devices within reach, over one window, as JSON: totals, a page of sites (a meter belongs to
-- one), and a page of vehicles in the order of p_sort (fleet_ranking). All three add up the same parts, an array that
-- has one for each vehicle and meter, and a few more where the window cuts hours.
create or replace function fleet_report(
    p_from timestamptz,
    p_to timestamptz,
    p_after_site text,
    p_sites bigint,
    p_sort text,
    p_descending boolean,
    p_after_value double precision,
    p_after_id text,
    p_vehicles bigint,
    p_reach_ids text[] default null,
    p_reach_sites text[] default null
)
returns table (
    totals jsonb,
    sites jsonb,
    vehicles jsonb
)
language sql
stable
begin atomic
    select
        fleet_totals(e.parts, p_from, p_to, p_reach_ids, p_reach_sites),
        fleet_sites(e.parts, p_from, p_to, p_after_site, p_sites),
        fleet_ranking(
            e.parts, p_from, p_to, p_sort, p_descending, p_after_value, p_after_id, p_vehicles, p_reach_ids,
            p_reach_sites
        )
    from (
        select array_agg(f) as parts
        from fleet_energy_within(array[p_from, p_to], p_reach_ids, p_reach_sites) as f
    ) as e;
end;
