-- What meters metered by quarter hour, without accounting for vehicles: added up in meter_quarters, the rest from
-- history.

-- Returns what each of some meters metered in whole quarter hours, from history by its primary key, and the rollups of
-- dropped history. Like slices(), without what only a window that cuts them needs; the planner inlines it.
create or replace function quarters_of_meters(p_meters integer[], p_from timestamptz, p_to timestamptz)
returns table (quarter timestamptz, meter integer, energy_mwh bigint, covered_ms bigint)
language sql
stable
begin atomic
    select quarter_of(q.bucket), q.device, sum(q.energy_mwh)::bigint, sum(q.covered_ms)::bigint
    from (
        select
            date_bin('15 minutes', r.time, '2000-01-01 00:00:00.000001+00') as bucket,
            r.device,
            sum(r.energy_mwh)::bigint as energy_mwh,
            sum(r.span_ms)::bigint as covered_ms
        from readings as r
        where r.device = any(p_meters)
            and r.time > p_from
            and r.time <= p_to
            and not r.spread
        group by 1, 2
        union all
        select s.bucket, s.device, s.energy_mwh, s.covered_ms
        from spread_energy as s
        where s.device = any(p_meters)
            and s.bucket > p_from
            and s.bucket <= p_to
        union all
        select k.bucket, k.device, k.energy_mwh, k.covered_ms
        from kept_quarter_hours as k
        where k.device = any(p_meters)
            and k.bucket > p_from
            and k.bucket <= p_to
    ) as q
    group by 1, 2
    having sum(q.covered_ms) > 0;
end;

-- Returns what some meters metered together in the quarter hours of a window, cut to it; those that no reading covers
-- are left out. Hours that are added up come from meter_quarters by its primary key.
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
    l_first timestamptz;
    l_end timestamptz;
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
        l_first := least(ceil_quarter(l_rest.starts), l_rest.ends);
        l_end := greatest(floor_quarter(l_rest.ends), l_first);
        return query
        select q.quarter, sum(q.energy_mwh)::bigint, sum(q.covered_ms)::bigint
        from quarters_of_meters(p_meters, l_first, l_end) as q
        group by 1
        union all
        select quarter_of(s.bucket), sum(s.energy_mwh)::bigint, sum(s.covered_ms)::bigint
        from (
            select *
            from slices_of_history(p_meters, l_rest.starts, l_first, true)
            where l_rest.starts < l_first
            union all
            select *
            from slices_of_history(p_meters, l_end, l_rest.ends, true)
            where l_end < l_rest.ends
        ) as s
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
            q.meter,
            coalesce(sum(q.energy_mwh) filter (where q.quarter = l_hour), 0),
            coalesce(sum(q.energy_mwh) filter (where q.quarter = l_hour + interval '15 minutes'), 0),
            coalesce(sum(q.energy_mwh) filter (where q.quarter = l_hour + interval '30 minutes'), 0),
            coalesce(sum(q.energy_mwh) filter (where q.quarter = l_hour + interval '45 minutes'), 0),
            coalesce(sum(q.covered_ms) filter (where q.quarter = l_hour), 0),
            coalesce(sum(q.covered_ms) filter (where q.quarter = l_hour + interval '15 minutes'), 0),
            coalesce(sum(q.covered_ms) filter (where q.quarter = l_hour + interval '30 minutes'), 0),
            coalesce(sum(q.covered_ms) filter (where q.quarter = l_hour + interval '45 minutes'), 0)
        from quarters_of_meters(
            array(select d.device from devices as d where d.kind = 'meter'), l_hour, l_hour + interval '1 hour'
        ) as q
        group by q.meter;
        insert into metered_hours
        values (l_hour);
        commit;
    end loop;
    perform pg_advisory_unlock(hashtext('fleetmeter.refresh_late_hours'));
end;
$$;
