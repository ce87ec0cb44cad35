-- Compares a meter with the vehicles on it over the time that both cover, in quarter hours covered only in part.

-- Returns the total length of some ranges of time, milliseconds.
create or replace function ms_of(p_ranges tstzmultirange)
returns bigint
language sql
immutable
parallel safe
begin atomic
    select coalesce(sum(ms_between(lower(r.range), upper(r.range))), 0)::bigint
    from unnest(p_ranges) as r (range);
end;

-- Returns whether energy over some time, measured by one side, is charging: 500 W or more, above any standby.
create or replace function is_charging(p_mwh bigint, p_ms bigint)
returns boolean
language sql
immutable
parallel safe
return coalesce(p_ms > 0 and p_mwh * 3600 >= p_ms * 500, false);

-- Returns the part of an interval's energy that lies in some ranges of time.
create or replace function energy_in(
    p_energy_mwh bigint,
    p_starts timestamptz,
    p_ends timestamptz,
    p_ranges tstzmultirange
)
returns bigint
language sql
immutable
parallel safe
begin atomic
    select coalesce(sum(energy_within(p_energy_mwh, p_starts, p_ends, lower(r.range), upper(r.range))), 0)::bigint
    from unnest(p_ranges * tstzmultirange(tstzrange(p_starts, p_ends, '(]'))) as r (range);
end;

-- Returns the intervals in some quarter hours, each with one meter: the meter's, and those of a vehicle while it was
-- there (null: no vehicle). One that crosses a quarter hour is cut to it. Read from history by the primary key and from
-- spread_energy by its own, between p_first and p_last, which bound the chunks that are opened: quarter hours that
-- begin before p_first are left out. The planner inlines it.
create or replace function intervals_of_quarters(
    p_buckets timestamptz[],
    p_meters integer[],
    p_vehicles integer[],
    p_first timestamptz,
    p_last timestamptz
)
returns table (
    bucket timestamptz,
    meter integer,
    device integer,
    energy_mwh bigint,
    starts timestamptz,
    ends timestamptz
)
language sql
stable
begin atomic
    select d.bucket, d.meter, d.device, i.energy_mwh, i.starts, i.ends
    from (
        select k.bucket, k.meter, k.vehicle as device
        from unnest(p_buckets, p_meters, p_vehicles) as k (bucket, meter, vehicle)
        where k.bucket >= p_first
            and k.vehicle is not null
        union
        select k.bucket, k.meter, k.meter
        from unnest(p_buckets, p_meters) as k (bucket, meter)
        where k.bucket >= p_first
    ) as d
    cross join lateral (
        select h.energy_mwh, start_of(h.time, h.span_ms) as starts, h.time as ends
        from readings as h
        where h.device = d.device
            and h.time > d.bucket
            and h.time <= d.bucket + interval '15 minutes'
            and h.time > p_first
            and h.time <= p_last
            and h.span_ms > 0
            and not h.spread
            and (h.meter = d.meter or d.device = d.meter)
        union all
        select s.energy_mwh, s.starts, least(s.ends, d.bucket + interval '15 minutes')
        from spread_energy as s
        where s.device = d.device
            and s.bucket = d.bucket + interval '1 microsecond'
            and s.bucket > p_first
            and s.bucket <= p_last
            and (s.meter = d.meter or d.device = d.meter)
    ) as i
    where i.starts < i.ends;
end;

-- Returns what each device of intervals_of_quarters() measured in common time: the part of p_window that the meter and
-- at least one of its vehicles cover. `common_ms` is how much of it the device covers. `charging_ms` is the time of
-- charging intervals, a vehicle's own or, for the meter, those of either side, and `charging_common_ms` the part of it
-- that is common. The planner inlines it.
create or replace function energy_in_common(
    p_buckets timestamptz[],
    p_meters integer[],
    p_vehicles integer[],
    p_first timestamptz,
    p_last timestamptz,
    p_window tstzmultirange
)
returns table (
    bucket timestamptz,
    meter integer,
    device integer,
    energy_mwh bigint,
    common_ms bigint,
    charging_ms bigint,
    charging_common_ms bigint
)
language sql
stable
begin atomic
    with intervals as materialized (
        select
            i.*,
            tstzrange(i.starts, i.ends, '(]') as time,
            is_charging(i.energy_mwh, ms_between(i.starts, i.ends)) as is_charging
        from intervals_of_quarters(p_buckets, p_meters, p_vehicles, p_first, p_last) as i
    ),
    common as materialized (
        select
            i.bucket,
            i.meter,
            range_agg(i.time) filter (where i.device = i.meter)
            * range_agg(i.time) filter (where i.device <> i.meter)
            * p_window as times,
            range_agg(i.time) filter (where i.is_charging) * p_window as charging
        from intervals as i
        group by 1, 2
    )
    select m.bucket, m.meter, m.device, m.energy_mwh, m.common_ms, ms_of(m.charging), ms_of(m.charging * m.times)
    from (
        select
            i.bucket,
            i.meter,
            i.device,
            sum(
                case
                    when c.times @> i.time then i.energy_mwh
                    when c.times && i.time then energy_in(i.energy_mwh, i.starts, i.ends, c.times)
                    else 0
                end
            )::bigint as energy_mwh,
            ms_of(range_agg(i.time) * c.times) as common_ms,
            case
                when i.device = i.meter then c.charging
                else range_agg(i.time) filter (where i.is_charging) * p_window
            end as charging,
            c.times
        from intervals as i
        join common as c
            on c.bucket = i.bucket
            and c.meter = i.meter
        group by 1, 2, 3, c.times, c.charging
    ) as m;
end;

-- Returns common_energy() of a few days: each chunk of history that it plans for is looked at for each quarter hour.
-- For each quarter hour, vehicle and meter that are named: the time in the window (p_from, p_to] that the meter and at
-- least one of its vehicles cover is common to them. Its AC is shared in proportion to their DC in it, as in a whole
-- quarter hour (apportion). A row for each device with intervals there: a vehicle's with its DC, its share of AC and
-- the times of energy_in_common(); the meter's (device = meter) with all of its AC. Dropped history cannot be compared.
create or replace function common_energy_of_days(
    p_buckets timestamptz[],
    p_meters integer[],
    p_vehicles integer[],
    p_from timestamptz,
    p_to timestamptz
)
returns table (
    bucket timestamptz,
    meter integer,
    device integer,
    dc_mwh bigint,
    ac_mwh bigint,
    common_ms bigint,
    charging_ms bigint,
    charging_common_ms bigint
)
language plpgsql
stable
-- not called where no quarter hour is covered in part
strict
-- planned for these times: no other chunk is opened
set plan_cache_mode = force_custom_plan
as $$
declare
    -- asked once: it looks at the chunks
    l_kept_since constant timestamptz := kept_since();
    l_window constant tstzmultirange := tstzmultirange(tstzrange(p_from, p_to, '(]'));
    l_first timestamptz;
    l_last timestamptz;
begin
    select min(b.bucket), max(b.bucket) + interval '15 minutes'
    into l_first, l_last
    from unnest(p_buckets) as b (bucket)
    where b.bucket >= l_kept_since;
    return query
    select
        r.bucket,
        r.meter,
        r.device,
        case when r.device <> r.meter then r.energy_mwh end,
        case
            when r.device = r.meter then r.energy_mwh
            else apportion(r.metered_mwh, (r.running_mwh - r.energy_mwh)::bigint, r.energy_mwh, r.total_mwh::bigint)
        end,
        r.common_ms,
        r.charging_ms,
        r.charging_common_ms
    from (
        select
            m.*,
            max(m.energy_mwh) filter (where m.device = m.meter) over quarter as metered_mwh,
            sum(m.energy_mwh) filter (where m.device <> m.meter) over quarter as total_mwh,
            sum(m.energy_mwh) filter (where m.device <> m.meter) over (quarter order by v.id) as running_mwh
        from energy_in_common(p_buckets, p_meters, p_vehicles, l_first, l_last, l_window) as m
        join devices as v
            on v.device = m.device
        window quarter as (partition by m.bucket, m.meter)
    ) as r;
end;
$$;

-- The same for any time, in steps of two days, so that its cost grows with the quarter hours and not with their square.
create or replace function common_energy(
    p_buckets timestamptz[],
    p_meters integer[],
    p_vehicles integer[],
    p_from timestamptz,
    p_to timestamptz
)
returns table (
    bucket timestamptz,
    meter integer,
    device integer,
    dc_mwh bigint,
    ac_mwh bigint,
    common_ms bigint,
    charging_ms bigint,
    charging_common_ms bigint
)
language plpgsql
stable
strict
as $$
declare
    l_days record;
begin
    for l_days in
        select array_agg(k.bucket) as buckets, array_agg(k.meter) as meters, array_agg(k.vehicle) as vehicles
        from unnest(p_buckets, p_meters, p_vehicles) as k (bucket, meter, vehicle)
        group by date_bin('2 days', k.bucket, p_from)
    loop
        return query
        select *
        from common_energy_of_days(l_days.buckets, l_days.meters, l_days.vehicles, p_from, p_to);
    end loop;
end;
$$;

-- The same for one meter and quarter hour, with any vehicle that ever charged there.
create or replace function common_energy_at(p_bucket timestamptz, p_meter integer)
returns table (device integer, dc_mwh bigint, ac_mwh bigint)
language plpgsql
stable
strict
as $$
declare
    l_vehicles constant integer[] := array(select v.vehicle from meter_vehicles as v where v.meter = p_meter);
begin
    return query
    select c.device, c.dc_mwh, c.ac_mwh
    from common_energy(
        array_fill(p_bucket, array[cardinality(l_vehicles)]),
        array_fill(p_meter, array[cardinality(l_vehicles)]),
        l_vehicles,
        p_bucket,
        p_bucket + interval '15 minutes'
    ) as c
    where c.common_ms > 0;
end;
$$;
