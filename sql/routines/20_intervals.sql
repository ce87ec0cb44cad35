-- Energy belongs to an interval, (start, end]: open where it begins, closed where the reading is stamped. It is spread
-- evenly over it, in whole milliwatt-hours that add up exactly.

-- Returns the milliseconds between two times, rounded down.
create or replace function ms_between(p_from timestamptz, p_to timestamptz)
returns bigint
language sql
immutable
parallel safe
return floor(extract(epoch from p_to - p_from) * 1000)::bigint;

-- Returns the part of some energy that has been used after p_ms of p_span_ms.
create or replace function energy_after(p_energy_mwh bigint, p_ms bigint, p_span_ms bigint)
returns bigint
language sql
immutable
parallel safe
return case
    when p_ms <= 0 then 0
    when p_ms >= p_span_ms then p_energy_mwh
    else div(p_energy_mwh::numeric * p_ms, p_span_ms)::bigint
end;

-- Returns the part of an interval's energy that lies in the window (p_from, p_to].
create or replace function energy_within(
    p_energy_mwh bigint,
    p_starts timestamptz,
    p_ends timestamptz,
    p_from timestamptz,
    p_to timestamptz
)
returns bigint
language sql
immutable
parallel safe
return case
    when p_starts >= p_from and p_ends <= p_to then p_energy_mwh
    else energy_after(p_energy_mwh, ms_between(p_starts, p_to), ms_between(p_starts, p_ends))
        - energy_after(p_energy_mwh, ms_between(p_starts, p_from), ms_between(p_starts, p_ends))
end;

-- Returns the milliseconds of an interval that lie in the window (p_from, p_to].
create or replace function ms_within(p_starts timestamptz, p_ends timestamptz, p_from timestamptz, p_to timestamptz)
returns bigint
language sql
immutable
parallel safe
return greatest(ms_between(greatest(p_starts, p_from), least(p_ends, p_to)), 0);

-- Returns the start of an interval by its end and length. Stable, like PostgreSQL's own minus; otherwise it is not
-- inlined.
create or replace function start_of(p_ends timestamptz, p_span_ms bigint)
returns timestamptz
language sql
stable
parallel safe
return p_ends - p_span_ms * interval '1 millisecond';

-- Returns whether an interval's energy belongs in spread_energy: it crosses a quarter hour, or the reading stated its
-- start, so that it may overlap others. Anything shorter than half a millisecond is not an interval.
create or replace function is_spread(p_ends timestamptz, p_span_ms bigint, p_interval_start timestamptz)
returns boolean
language sql
immutable
parallel safe
return coalesce(p_span_ms, 0) > 0
    and (
        p_interval_start is not null
        or start_of(p_ends, p_span_ms) < floor_quarter(p_ends - interval '1 microsecond')
    );

-- Inserts the energy of readings that must be spread into spread_energy, after their old pieces have been removed
-- (take_out_pieces).
create or replace function put_pieces(p_devices integer[], p_times timestamptz[])
returns void
language plpgsql
set plan_cache_mode = force_custom_plan
as $$
declare
    l_first constant timestamptz := (select min(t.time) from unnest(p_times) as t (time));
    l_last constant timestamptz := (select max(t.time) from unnest(p_times) as t (time));
begin
    insert into spread_energy (device, meter, bucket, starts, ends, energy_mwh, covered_ms)
    select
        r.device,
        r.meter,
        q.quarter + interval '1 microsecond',
        greatest(q.quarter, r.starts),
        r.time,
        energy_after(r.energy_mwh, p.until_ms, r.span_ms) - energy_after(r.energy_mwh, p.from_ms, r.span_ms),
        p.until_ms - p.from_ms
    from (
        select h.*, start_of(h.time, h.span_ms) as starts
        from unnest(p_devices, p_times) as k (device, time)
        join readings as h
            on h.device = k.device
            and h.time = k.time
        where h.time >= l_first
            and h.time <= l_last
            and h.spread
    ) as r
    cross join lateral generate_series(
        floor_quarter(r.starts), floor_quarter(r.time - interval '1 microsecond'), interval '15 minutes'
    ) as q (quarter)
    cross join lateral (
        select
            greatest(ms_between(r.starts, q.quarter), 0) as from_ms,
            least(ms_between(r.starts, q.quarter + interval '15 minutes'), r.span_ms) as until_ms
    ) as p
    order by 1, 3, 5;
end;
$$;

-- Lets the transaction unpack as many rows of the columnstore as its changes need: old readings may be there. Without
-- the extension, the setting means nothing.
create or replace function lift_unpacking_limit()
returns void
language plpgsql
as $$
begin
    perform set_config('timescaledb.max_tuples_decompressed_per_dml_transaction', '0', true);
end;
$$;

-- Removes the energy of one reading from spread_energy, by the length of its interval. A key that is constant when the
-- statement is planned is found in the columnstore without unpacking the rest.
create or replace function take_out_pieces(p_device integer, p_time timestamptz, p_span_ms bigint)
returns void
language plpgsql
as $$
begin
    execute 'delete from spread_energy where device = $1 and ends = $2 and bucket > $3 and bucket <= $2'
    using p_device, p_time, floor_quarter(start_of(p_time, p_span_ms));
end;
$$;

-- Intervals with a stated start may overlap others: time that an interval which ended earlier covers is not counted
-- again in their pieces. For devices that have any, in the days of changed intervals, from p_starts to p_ends.
create or replace function cover_once(p_devices integer[], p_starts timestamptz[], p_ends timestamptz[])
returns void
language plpgsql
as $$
begin
    perform cover_quarters(c.device, lower(c.days), upper(c.days))
    from (
        select
            u.device,
            unnest(range_agg(tstzrange(
                date_bin('1 day', u.starts, '2000-01-01 00:00:00+00'),
                date_bin('1 day', u.ends, '2000-01-01 00:00:00+00') + interval '24 hours'
            ))) as days
        from unnest(p_devices, p_starts, p_ends) as u (device, starts, ends)
        join devices as d
            on d.device = u.device
        where d.says_starts
        group by u.device
    ) as c;
end;
$$;

-- The same for the quarter hours of one device between two of them: the intervals in each are laid out in the order of
-- their ends, and a stated one is compared with those before that it overlaps, however many readings there are.
create or replace function cover_quarters(p_device integer, p_from timestamptz, p_to timestamptz)
returns void
language plpgsql
set plan_cache_mode = force_custom_plan
as $$
declare
    l_week record;
begin
    for l_week in
        with pieces as (
            select
                e.bucket,
                e.ends,
                e.covered_ms,
                r.interval_start is not null as is_stated,
                tstzrange(e.starts, e.until, '(]') as part,
                ms_between(start_of(r.time, r.span_ms), e.until)
                    - ms_between(start_of(r.time, r.span_ms), e.starts) as whole_ms
            from (
                select *, least(x.bucket - interval '1 microsecond' + interval '15 minutes', x.ends) as until
                from spread_energy as x
                where x.device = p_device
                    and x.bucket > p_from
                    and x.bucket <= p_to
            ) as e
            join readings as r
                on r.device = p_device
                and r.time = e.ends
            union all
            select
                floor_quarter(h.time - interval '1 microsecond') + interval '1 microsecond',
                h.time,
                h.span_ms,
                false,
                tstzrange(start_of(h.time, h.span_ms), h.time, '(]'),
                h.span_ms
            from readings as h
            where h.device = p_device
                and h.time > p_from
                and h.time <= p_to
                and h.span_ms > 0
                and not h.spread
        ),
        -- arrays, since the planner has no idea how many pieces a quarter hour has, and would join them row by row
        quarters as (
            select
                p.bucket,
                array_agg(p.ends) as ends,
                array_agg(p.covered_ms) as covered_ms,
                array_agg(p.is_stated) as is_stated,
                array_agg(p.part) as parts,
                array_agg(p.whole_ms) as whole_ms
            from pieces as p
            group by p.bucket
            having bool_or(p.is_stated)
        ),
        covered as (
            select
                q.bucket,
                b.ends,
                b.covered_ms,
                case
                    when o.before is null then b.whole_ms
                    else (
                        select coalesce(sum(ms_between(lower(f.range), upper(f.range))), 0)
                        from unnest(tstzmultirange(b.part) - o.before) as f (range)
                    )
                end::bigint as free_ms
            from quarters as q
            cross join lateral unnest(q.ends, q.covered_ms, q.is_stated, q.parts, q.whole_ms)
                as b (ends, covered_ms, is_stated, part, whole_ms)
            cross join lateral (
                select range_agg(u.part) as before
                from unnest(q.ends, q.parts) as u (ends, part)
                where u.ends < b.ends
                    and u.part && b.part
            ) as o
            where b.is_stated
        )
        select
            min(c.bucket) as first,
            max(c.bucket) as last,
            array_agg(c.bucket) as buckets,
            array_agg(c.ends) as ends,
            array_agg(c.free_ms) as free_ms
        from covered as c
        where c.covered_ms <> c.free_ms
        group by date_bin('7 days', c.bucket, '2000-01-01 00:00:00+00')
    loop
        -- a device and times that are constant when the statement is planned, as in take_out_pieces(); and of few
        -- statements, since an interval of 400 days has 38,400 pieces, and its batch keeps others waiting
        execute '
            update spread_energy as s
            set covered_ms = f.free_ms
            from unnest($4, $5, $6) as f (bucket, ends, free_ms)
            where s.device = $1
                and s.bucket >= $2
                and s.bucket <= $3
                and s.bucket = f.bucket
                and s.ends = f.ends
        '
        using p_device, l_week.first, l_week.last, l_week.buckets, l_week.ends, l_week.free_ms;
    end loop;
end;
$$;
