-- What meters metered by quarter hour, without accounting for vehicles: added up in meter_quarters, the rest from
-- history.

-- Returns what some meters metered together in the quarter hours of a window, cut to it; those that no reading covers
-- are left out. Hours that are added up come from meter_quarters by its primary key, the rest as slices().
create or replace function metered_quarters(p_meters integer[], p_from timestamptz, p_to timestamptz)
returns table (quarter timestamptz, energy_mwh bigint, covered_ms bigint)
language plpgsql
stable
set plan_cache_mode = force_custom_plan
set jit = off
as $$
declare
    l_hours constant timestamptz[] := array(
        select h.hour
        from metered_hours as h
        where h.hour >= p_from
            and h.hour <= p_to - interval '1 hour'
            and not exists (select from late_hours as l where l.hour = h.hour)
    );
    l_rest record;
begin
    return query
    select h.hour + q.minutes, q.energy_mwh, q.covered_ms
    from (
        select
            m.hour,
            sum(m.mwh_1)::bigint as mwh_1,
            sum(m.mwh_2)::bigint as mwh_2,
            sum(m.mwh_3)::bigint as mwh_3,
            sum(m.mwh_4)::bigint as mwh_4,
            sum(m.covered_ms_1) as covered_ms_1,
            sum(m.covered_ms_2) as covered_ms_2,
            sum(m.covered_ms_3) as covered_ms_3,
            sum(m.covered_ms_4) as covered_ms_4
        from meter_quarters as m
        where m.hour >= p_from
            and m.hour <= p_to - interval '1 hour'
            and m.hour = any(l_hours)
            and m.meter = any(p_meters)
        group by m.hour
    ) as h
    cross join lateral (
        values
            (interval '0 minutes', h.mwh_1, h.covered_ms_1),
            (interval '15 minutes', h.mwh_2, h.covered_ms_2),
            (interval '30 minutes', h.mwh_3, h.covered_ms_3),
            (interval '45 minutes', h.mwh_4, h.covered_ms_4)
    ) as q (minutes, energy_mwh, covered_ms)
    where q.covered_ms > 0;
    for l_rest in
        select lower(r.part) as starts, upper(r.part) as ends
        from other_than_hours(p_from, p_to, l_hours) as r (part)
    loop
        return query
        select quarter_of(s.bucket), sum(s.energy_mwh)::bigint, sum(s.covered_ms)::bigint
        from slices(p_meters, l_rest.starts, l_rest.ends, rolled_up_until(), true) as s
        group by 1
        having sum(s.covered_ms) > 0;
    end loop;
end;
$$;

-- The hour that the oldest energy of any meter is in; null without any (by the primary keys and indexes on time).
create or replace function metered_since()
returns timestamptz
language sql
stable
begin atomic
    select floor_hour(
        least(
            min((select min(r.time) from readings as r where r.device = d.device)),
            (select min(s.bucket) from spread_energy as s),
            (select min(k.bucket) from kept_quarter_hours as k)
        ) - interval '1 microsecond'
    )
    from devices as d
    where d.kind = 'meter';
end;

-- Adds up hours that are over and have not been, newest first, at most p_most of them, a transaction each. Not while
-- late hours are refreshed: an hour struck out meanwhile must stay out.
create or replace procedure add_up_meters(p_most integer default 50)
language plpgsql
as $$
declare
    l_hour timestamptz;
begin
    if not pg_try_advisory_lock(hashtext('fleetmeter.refresh_late_hours')) then
        return;
    end if;
    for l_hour in
        select h.hour
        from generate_series(metered_since(), accountable_until() - interval '1 hour', interval '1 hour') as h (hour)
        where not exists (select from metered_hours as m where m.hour = h.hour)
        order by h.hour desc
        limit p_most
    loop
        -- a purge waits, and deletes its meter's rows afterwards
        perform
        from accounting
        for share;
        delete from meter_quarters as m
        where m.hour = l_hour;
        insert into meter_quarters
        select
            l_hour,
            s.device,
            coalesce(sum(s.energy_mwh) filter (where s.place = 1), 0),
            coalesce(sum(s.energy_mwh) filter (where s.place = 2), 0),
            coalesce(sum(s.energy_mwh) filter (where s.place = 3), 0),
            coalesce(sum(s.energy_mwh) filter (where s.place = 4), 0),
            coalesce(sum(s.covered_ms) filter (where s.place = 1), 0),
            coalesce(sum(s.covered_ms) filter (where s.place = 2), 0),
            coalesce(sum(s.covered_ms) filter (where s.place = 3), 0),
            coalesce(sum(s.covered_ms) filter (where s.place = 4), 0)
        from (
            select l.*, 1 + ms_between(l_hour, quarter_of(l.bucket)) / 900000 as place
            from slices(
                array(select d.device from devices as d where d.kind = 'meter'),
                l_hour,
                l_hour + interval '1 hour',
                rolled_up_until(),
                true
            ) as l
        ) as s
        group by s.device
        having sum(s.covered_ms) > 0;
        insert into metered_hours
        values (l_hour);
        commit;
    end loop;
    perform pg_advisory_unlock(hashtext('fleetmeter.refresh_late_hours'));
end;
$$;
