-- The intervals of interval energy, which follow from the previous reading in time, whatever the order of arrival. A
-- late reading between two others may shorten the interval of the later one, which is derived again in the same
-- transaction.
--
-- A device's row of live_state locks its readings: a session that changes them waits for another that does, and then
-- sees what that has stored.

-- Returns the readings of interval energy in the timeline that are new or directly follow a new one, with their
-- intervals. One that follows after more than its own interval is unchanged; the timeline may lack readings in between
-- (add_neighbours()).
create or replace function derived_readings()
returns table (
    device integer,
    at timestamptz,
    is_new boolean,
    energy_mwh bigint,
    span_ms bigint,
    was_ms bigint
)
language plpgsql
as $$
begin
    return query
    select
        t.device,
        t.time,
        t.is_new,
        t.energy_mwh,
        case
            when t.interval_start is not null
                then round(extract(epoch from t.time - t.interval_start) * 1000)::bigint
            else least(t.interval_ms, t.gap_ms)
        end,
        t.span_ms
    from (
        select
            r.*,
            round(extract(epoch from r.time - lag(r.time) over by_time) * 1000)::bigint as gap_ms,
            lag(r.is_new) over by_time as follows_new
        from timeline as r
        window by_time as (partition by r.device order by r.time)
    ) as t
    where t.register_mwh is null
        and (t.is_new or t.follows_new and t.gap_ms <= t.interval_ms);
end;
$$;

-- Returns the maximum length of an interval whose reading does not state its start.
create or replace function interval_ms_of(p_reporting_interval_s integer)
returns bigint
language plpgsql
stable
as $$
begin
    return coalesce(p_reporting_interval_s, (select a.reporting_interval_s from accounting as a)) * 1000::bigint;
end;
$$;

-- Fills the timeline with the readings of the batch and the stored ones around them.
create or replace function lay_out_timeline()
returns void
language plpgsql
as $$
begin
    delete from timeline;
    insert into timeline (
        device, time, energy_mwh, register_mwh, interval_start, span_ms, interval_ms, is_new, is_newest
    )
    select
        s.device, s.energy_at, s.energy_mwh, s.register_mwh, s.interval_start, s.span_ms,
        interval_ms_of(d.reporting_interval_s), false, true
    from live_state as s
    join devices as d
        on d.device = s.device
    where s.device in (select i.device from incoming as i)
        -- not a reading that is being stored again
        and not exists (select from incoming as i where i.device = s.device and i.time = s.energy_at)
        and s.energy_at is not null;
    perform add_neighbours();
    insert into timeline (device, time, energy_mwh, register_mwh, interval_start, interval_ms, is_new)
    select
        i.device, i.time, i.energy_mwh, i.register_mwh, i.interval_start, interval_ms_of(d.reporting_interval_s), true
    from incoming as i
    join devices as d
        on d.device = i.device
    where i.energy_mwh is not null
        or i.register_mwh is not null;
end;
$$;

-- Returns runs of late readings in the batch: those less than an hour apart look for their neighbours together.
create or replace function late_runs()
returns table (
    device integer,
    interval_ms bigint,
    newest timestamptz,
    first timestamptz,
    last timestamptz
)
language plpgsql
as $$
begin
    return query
    select l.device, l.interval_ms, l.newest, min(l.time), max(l.time)
    from (
        select
            i.*,
            count(*) filter (where i.is_first) over (partition by i.device order by i.time) as number
        from (
            select
                b.device,
                b.time,
                interval_ms_of(d.reporting_interval_s) as interval_ms,
                coalesce(t.time, 'infinity') as newest,
                (b.time - lag(b.time) over (partition by b.device order by b.time) <= interval '1 hour') is not true
                    as is_first
            from incoming as b
            join live_state as s
                on s.device = b.device
                and s.energy_at >= b.time
            join devices as d
                on d.device = b.device
            left join timeline as t
                on t.device = b.device
                and t.is_newest
            where b.energy_mwh is not null
                or b.register_mwh is not null and d.changes_kind
        ) as i
    ) as l
    group by l.device, l.interval_ms, l.newest, l.number;
end;
$$;

-- Adds the stored readings around the late runs to the timeline. Looks within a day of the batch first, for which the
-- planner knows the chunks in advance.
create or replace function add_neighbours()
returns void
language plpgsql
set plan_cache_mode = force_custom_plan
as $$
declare
    l_from timestamptz;
    l_to timestamptz;
begin
    select min(r.first) - interval '1 day', max(r.last) + interval '1 day'
    into l_from, l_to
    from late_runs() as r;
    if l_from is null then
        return;
    end if;
    insert into timeline (
        device, time, energy_mwh, register_mwh, interval_start, span_ms, interval_ms, is_new
    )
    select distinct
        r.device, n.time, n.energy_mwh, n.register_mwh, n.interval_start, n.span_ms, r.interval_ms, false
    from late_runs() as r
    cross join lateral (
        (
            select b.time, b.energy_mwh, b.register_mwh, b.interval_start, b.span_ms
            from readings as b
            where b.device = r.device
                and b.energy_mwh is not null
                and b.time < r.first
                and b.time >= l_from
            order by b.time desc
            limit 1
        )
        union all
        (
            select w.time, w.energy_mwh, w.register_mwh, w.interval_start, w.span_ms
            from readings as w
            where w.device = r.device
                and w.energy_mwh is not null
                and w.time > r.first
                and w.time < r.last
                and w.time >= l_from
                and w.time <= l_to
        )
        union all
        (
            select a.time, a.energy_mwh, a.register_mwh, a.interval_start, a.span_ms
            from readings as a
            where a.device = r.device
                and a.energy_mwh is not null
                and a.time > r.last
                and a.time <= l_to
            order by a.time
            limit 1
        )
    ) as n
    where n.time < r.newest;
end;
$$;

-- Fails unless as many rows were updated as expected, so that the transaction is tried again: a hypertable's update
-- skips a row for which it had to wait. Sessions that change a device's readings hold its row of live_state, which
-- prevents this.
create or replace function require_rows(p_updated bigint, p_expected bigint)
returns void
language plpgsql
as $$
begin
    if p_updated <> p_expected then
        raise exception 'a reading was changed by somebody else meanwhile' using errcode = 'serialization_failure';
    end if;
end;
$$;

-- Gives stored readings that directly follow new ones the rest of the interval. One by one, since a key that is
-- constant when the statement is planned is found in the columnstore without unpacking the rest. Returns the changed
-- intervals, for note_changed().
create or replace function correct_neighbours(
    out devices integer[],
    out starts timestamptz[],
    out ends timestamptz[]
)
language plpgsql
as $$
declare
    l_reading record;
begin
    for l_reading in
        select d.*, t.interval_start
        from derived_readings() as d
        join timeline as t
            on t.device = d.device
            and t.time = d.at
        where not d.is_new
            and d.span_ms is distinct from d.was_ms
    loop
        devices := devices || l_reading.device;
        starts := starts || derive_reading(
            l_reading.device, l_reading.at, l_reading.span_ms, l_reading.interval_start, l_reading.was_ms
        );
        ends := ends || l_reading.at;
    end loop;
end;
$$;

-- Gives a stored reading another interval, which was p_was_ms long, and updates what follows from it; returns the start
-- of the longer of both.
create or replace function derive_reading(
    p_device integer,
    p_time timestamptz,
    p_span_ms bigint,
    p_interval_start timestamptz,
    p_was_ms bigint
)
returns timestamptz
language plpgsql
as $$
declare
    l_spread constant boolean := is_spread(p_time, p_span_ms, p_interval_start);
    l_starts constant timestamptz := start_of(p_time, greatest(p_span_ms, p_was_ms, 0));
    l_updated bigint;
begin
    perform take_out_pieces(p_device, p_time, coalesce(p_was_ms, 0));
    execute 'update readings set span_ms = $3, spread = $4 where device = $1 and time = $2'
    using p_device, p_time, p_span_ms, l_spread;
    get diagnostics l_updated = row_count;
    perform require_rows(l_updated, 1);
    if l_spread then
        perform put_pieces(array[p_device], array[p_time]);
    end if;
    update live_state as s
    set
        span_ms = p_span_ms,
        spread = l_spread
    where s.device = p_device
        and s.energy_at = p_time;
    return l_starts;
end;
$$;
