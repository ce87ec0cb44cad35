-- Charging sessions, derived from one vehicle's readings with energy, its steps: runs of steps whose intervals follow
-- each other. docs/energy-accounting.md explains the rules with worked examples.

-- Maximum time between two steps of a coarse register in the same session.
create or replace function longest_step()
returns interval
language sql
immutable
parallel safe
return interval '4 hours';

-- Returns false if no session can begin in [p_from, p_to), so that what need not be derived is not. One begins only
-- where the meter or the session id changes or energy pauses for longer than p_gap, after a reading before p_to and up
-- to one after p_from. Reads by the primary key, in ever longer leaps: most vehicles pause within a day, and a leap is
-- planned for its chunks alone.
create or replace function session_may_begin(p_vehicle integer, p_gap interval, p_from timestamptz, p_to timestamptz)
returns boolean
language plpgsql
stable
set plan_cache_mode = force_custom_plan
as $$
declare
    l_leap interval := interval '2 days';
    l_since timestamptz := p_from;
    l_until timestamptz;
begin
    -- the interval of a later reading may reach back to before p_to
    if not exists (
        select
        from readings as r
        where r.device = p_vehicle
            and r.time > p_to
            and r.time <= p_to + p_gap
            and r.energy_mwh > 0
    ) then
        return true;
    end if;
    while l_since < p_to loop
        l_until := least(l_since + l_leap, p_to);
        if exists (
            select
            from (
                select
                    r.time,
                    r.meter,
                    r.session,
                    lag(r.time) over by_time as before,
                    lag(r.meter) over by_time as meter_before,
                    lag(r.session) over by_time as session_before
                from readings as r
                where r.device = p_vehicle
                    and r.time >= l_since - p_gap
                    and r.time <= l_until + p_gap
                    and r.energy_mwh > 0
                window by_time as (order by r.time)
            ) as s
            where s.time >= l_since
                and (
                    s.before is null
                    or s.time - s.before > p_gap
                    or s.meter is distinct from s.meter_before
                    or s.session is distinct from s.session_before
                )
        ) then
            return true;
        end if;
        l_since := l_until;
        l_leap := l_leap * 2;
    end loop;
    return false;
end;
$$;

-- Returns the reading with energy nearest to p_at towards p_end, if any: the first in (p_at, p_end], or the last in
-- (p_end, p_at] if p_end is earlier. By the primary key, in the first days of it before the rest, since planning for
-- every chunk of a month would take longer than reading.
create or replace function nearest_step(
    p_vehicle integer,
    p_at timestamptz,
    p_end timestamptz,
    out at timestamptz,
    out starts timestamptz,
    out session integer
)
language plpgsql
stable
set plan_cache_mode = force_custom_plan
as $$
declare
    l_near constant timestamptz := case
        when p_end > p_at then least(p_at + interval '2 days', p_end)
        else greatest(p_at - interval '2 days', p_end)
    end;
    l_from timestamptz := p_at;
    l_to timestamptz := l_near;
begin
    loop
        if p_end > p_at then
            select r.time, start_of(r.time, r.span_ms), r.session
            into at, starts, session
            from readings as r
            where r.device = p_vehicle
                and r.time > l_from
                and r.time <= l_to
                and r.energy_mwh > 0
            order by r.time
            limit 1;
        else
            select r.time, start_of(r.time, r.span_ms), r.session
            into at, starts, session
            from readings as r
            where r.device = p_vehicle
                and r.time > l_to
                and r.time <= l_from
                and r.energy_mwh > 0
            order by r.time desc
            limit 1;
        end if;
        exit when at is not null or l_to is not distinct from p_end;
        l_from := l_near;
        l_to := p_end;
    end loop;
end;
$$;

-- Returns how far history must be read, (since, until], to have each session that begins in (p_from, p_to] whole:
-- forward to a pause that ends any session, and back far enough to show which had begun before. If readings state the
-- start of their interval, one after that pause may have begun before it: then forward to the next pause. A session
-- that continues for a month after the window is returned up to there. Forward in ever longer leaps.
create or replace function sessions_within(
    p_vehicle integer,
    p_pause interval,
    p_has_ids boolean,
    p_from timestamptz,
    p_to timestamptz,
    out since timestamptz,
    out until timestamptz
)
language plpgsql
stable
set plan_cache_mode = force_custom_plan
as $$
declare
    l_month constant interval := interval '31 days';
    l_leap interval := p_pause;
    l_pauses integer := case when (select d.says_starts from devices as d where d.device = p_vehicle) then 2 else 1 end;
    l_last record;
    l_next record;
begin
    since := p_from - p_pause - p_pause;
    until := p_to + p_pause;
    loop
        l_last := nearest_step(p_vehicle, until, since);
        l_next := nearest_step(p_vehicle, until, p_to + l_month);
        if l_next.starts >= p_to
            and (
                l_last.at is null
                or l_next.starts > l_last.at + p_pause
                    and l_next.session is distinct from coalesce(l_last.session, 0)
            )
        then
            l_pauses := l_pauses - 1;
        end if;
        if l_next.at is null or l_pauses = 0 then
            -- with the pause, which shows that what ended before it is over
            until := coalesce(l_next.at - interval '1 microsecond', p_to + l_month);
            exit;
        end if;
        until := least(greatest(until + l_leap, l_next.at), p_to + l_month);
        l_leap := l_leap * 2;
    end loop;
    if not p_has_ids then
        return;
    end if;
    -- the pause before the window may be longer in a session with an id
    select coalesce(max(b.time) - interval '1 microsecond', since)
    into since
    from (
        select r.session
        from readings as r
        where r.device = p_vehicle
            and r.time > since
            and r.time <= until
            and r.energy_mwh > 0
        order by r.time
        limit 1
    ) as f
    cross join lateral (
        select r.time
        from readings as r
        where r.device = p_vehicle
            and r.time > p_from - l_month
            and r.time <= since
            and r.session = f.session
            and r.energy_mwh > 0
        order by r.time desc
        limit 1
    ) as b;
end;
$$;

-- Returns the part of an interval's energy before a time, rounded to complement a window that begins then: by what has
-- been used at the start of the quarter hour, and by the piece in it.
create or replace function energy_before(
    p_energy_mwh bigint,
    p_starts timestamptz,
    p_ends timestamptz,
    p_at timestamptz
)
returns bigint
language sql
immutable
parallel safe
begin atomic
    select q.before_mwh + energy_within(
        energy_within(p_energy_mwh, p_starts, p_ends, p_starts, least(q.quarter + interval '15 minutes', p_ends))
            - q.before_mwh,
        greatest(q.quarter, p_starts),
        least(q.quarter + interval '15 minutes', p_ends),
        greatest(q.quarter, p_starts),
        p_at
    )
    from (
        select f.quarter, energy_within(p_energy_mwh, p_starts, p_ends, p_starts, f.quarter) as before_mwh
        from (select floor_quarter(p_at) as quarter) as f
    ) as q;
end;

-- Returns from when a step's energy was used, if using it takes p_needed: from the start of its interval, or after a
-- rest, if that takes less than a quarter of the interval and leaves more than p_gap.
create or replace function after_rest(
    p_starts timestamptz,
    p_ends timestamptz,
    p_needed interval,
    p_gap interval
)
returns timestamptz
language sql
stable
parallel safe
return case
    when 4 * p_needed < p_ends - p_starts and p_needed + p_gap < p_ends - p_starts then p_ends - p_needed
    else p_starts
end;

-- Returns the steps of a vehicle, its readings with energy in (p_since, p_until], each with what its neighbours say of
-- it: its session, and from when its energy was used. If a register is read after a rest, its energy was used at the
-- end of the rest: at the power of the following step, if that is more than four times as high.
create or replace function steps_within(
    p_vehicle integer,
    p_interval interval,
    p_gap interval,
    p_since timestamptz,
    p_until timestamptz
)
returns table (
    at timestamptz,
    starts timestamptz,
    -- from when its energy was used, which is after a rest
    charged_from timestamptz,
    meter integer,
    session integer,
    energy_mwh bigint,
    register_mwh bigint,
    soc_bp smallint,
    battery_temp_cdeg smallint,
    -- the greatest common divisor of the register's values
    unit_mwh bigint,
    -- the seconds that a milliwatt-hour took; null after more than longest_step()
    pace double precision
)
language plpgsql
stable
set plan_cache_mode = force_custom_plan
as $$
begin
    return query
    with steps as (
        select
            r.time,
            r.meter,
            r.energy_mwh,
            r.register_mwh,
            r.interval_start,
            r.soc_bp,
            r.battery_temp_cdeg,
            r.session,
            start_of(r.time, coalesce(nullif(r.span_ms, 0), ms_between(r.time, r.time + p_interval))) as starts,
            count(r.session) over by_time as named,
            count(r.session) over (order by r.time desc) as named_after,
            date_part('epoch', r.time - lag(r.time) over by_time) as apart_s
        from readings as r
        where r.device = p_vehicle
            and r.time > p_since
            and r.time <= p_until
            and r.energy_mwh > 0
        window by_time as (order by r.time)
    ),
    -- energy between two readings of one session belongs to it, too
    bound as (
        select
            s.*,
            case
                when first_value(s.session) over (partition by s.named order by s.time)
                    = first_value(s.session) over (partition by s.named_after order by s.time desc)
                    then first_value(s.session) over (partition by s.named order by s.time)
            end as of_session,
            case when s.apart_s <= date_part('epoch', longest_step()) then s.apart_s / s.energy_mwh end as pace
        from steps as s
    )
    select
        b.time,
        b.starts,
        case
            when b.register_mwh is not null and b.interval_start is null
                then after_rest(b.starts, b.time, b.needed, p_gap)
            else b.starts
        end,
        b.meter,
        b.of_session,
        b.energy_mwh,
        b.register_mwh,
        b.soc_bp,
        b.battery_temp_cdeg,
        gcd(b.register_mwh, b.energy_mwh),
        b.pace
    from (
        select
            s.*,
            -- at most the whole interval: at the pace of a tiny step it would be aeons
            make_interval(
                secs => least(s.energy_mwh * lead(s.pace) over (order by s.time), date_part('epoch', s.time - s.starts))
            ) as needed
        from bound as s
    ) as b;
end;
$$;

-- Returns the steps of a vehicle (see steps_within()), each with the number of its session. A session begins where the
-- meter or the session id changes, or after a pause (p_gap).
--
-- A register shows whole units of its resolution, here the greatest common divisor of its values. While it shows the
-- same value, up to one unit has been used: a time of that length at the pace of the neighbouring steps is not a pause.
-- p_first is the time of the first reading of a register.
create or replace function charging_steps(
    p_vehicle integer,
    p_interval interval,
    p_gap interval,
    p_first timestamptz,
    p_since timestamptz,
    p_until timestamptz
)
returns table (
    at timestamptz,
    starts timestamptz,
    -- from when its energy was used, which is after a rest
    charged_from timestamptz,
    -- from when it may have been used
    used_from timestamptz,
    number bigint,
    meter integer,
    session integer,
    energy_mwh bigint,
    register_mwh bigint,
    soc_bp smallint,
    battery_temp_cdeg smallint
)
language plpgsql
stable
set plan_cache_mode = force_custom_plan
as $$
declare
    l_longest_s constant double precision := date_part('epoch', longest_step());
begin
    return query
    with paced as (
        select
            s.*,
            lag(s.at) over by_time as before,
            lag(s.session) over by_time as session_before,
            lag(s.meter) over by_time as meter_before,
            coalesce(gcd(s.unit_mwh, lag(s.unit_mwh) over by_time), 0) * coalesce(
                least(lag(s.pace) over by_time, lead(s.pace) over by_time), l_longest_s
            ) as unit_s,
            gcd(s.unit_mwh, lead(s.unit_mwh) over by_time) * lead(s.pace) over by_time as first_unit_s
        from steps_within(p_vehicle, p_interval, p_gap, p_since, p_until) as s
        window by_time as (order by s.at)
    ),
    parted as (
        select
            p.*,
            p.before is null or case
                when p.session is not null and p.session_before is not null then p.session <> p.session_before
                else p.meter is distinct from p.meter_before
                    -- when its energy had arrived: after a reporting interval at the latest
                    or least(p.at, p.charged_from + p_interval) - p.before > greatest(
                        p_gap, make_interval(secs => least(2 * p.unit_s, l_longest_s))
                    )
            end as is_first
        from paced as p
    )
    select
        n.at,
        n.starts,
        n.charged_from,
        least(
            n.charged_from,
            greatest(
                n.at - make_interval(
                    secs => coalesce(
                        case
                            when not n.is_first then least(n.unit_s, date_part('epoch', n.at - n.before))
                            when not lead(n.is_first) over by_time and n.first_unit_s is not null
                                then least(n.first_unit_s, date_part('epoch', n.at - p_first))
                        end,
                        0
                    )
                ),
                n.before,
                p_first
            )
        ),
        count(*) filter (where n.is_first) over by_time,
        n.meter,
        n.session,
        n.energy_mwh,
        n.register_mwh,
        n.soc_bp,
        n.battery_temp_cdeg
    from parted as n
    window by_time as (order by n.at);
end;
$$;

-- Returns the sessions that the steps of a vehicle form, as charging_steps() numbers them.
create or replace function session_runs(
    p_vehicle integer,
    p_interval interval,
    p_gap interval,
    p_first timestamptz,
    p_since timestamptz,
    p_until timestamptz
)
returns table (
    begins timestamptz,
    finishes timestamptz,
    meter integer,
    session integer,
    register_from_mwh bigint,
    register_to_mwh bigint,
    soc_bp_from smallint,
    soc_bp_to smallint,
    battery_temp_cdeg_max smallint,
    peak_mw double precision,
    -- its energy spread over a rest before it; null: none
    rested_mwh bigint,
    is_last boolean
)
language plpgsql
stable
rows 20
as $$
begin
    return query
    with steps as materialized (
        select *
        from charging_steps(p_vehicle, p_interval, p_gap, p_first, p_since, p_until)
    ),
    runs as (
        select
            s.number,
            greatest(min(s.used_from), lag(max(s.at)) over (order by s.number)) as begins,
            max(s.at) as finishes,
            (array_agg(s.meter order by s.at))[1] as meter,
            max(s.session) as session,
            (array_agg(s.register_mwh - s.energy_mwh order by s.at))[1] as register_from_mwh,
            (array_agg(s.register_mwh order by s.at desc))[1] as register_to_mwh,
            (array_agg(s.soc_bp order by s.at) filter (where s.soc_bp is not null))[1] as soc_bp_from,
            (array_agg(s.soc_bp order by s.at desc) filter (where s.soc_bp is not null))[1] as soc_bp_to,
            max(s.battery_temp_cdeg) as battery_temp_cdeg_max,
            max(s.energy_mwh * 3600 / date_part('epoch', s.at - s.used_from)) as peak_mw,
            max(s.at) = max(max(s.at)) over () as is_last
        from steps as s
        group by s.number
    ),
    -- for a step read after a rest: the part spread over the time before the session
    rests as (
        select s.number, sum(energy_before(s.energy_mwh, s.starts, s.at, r.begins))::bigint as energy_mwh
        from steps as s
        join runs as r
            on r.number = s.number
        where s.charged_from > s.starts
            and s.starts < r.begins
        group by 1
    )
    select
        r.begins,
        r.finishes,
        r.meter,
        r.session,
        r.register_from_mwh,
        r.register_to_mwh,
        r.soc_bp_from,
        r.soc_bp_to,
        r.battery_temp_cdeg_max,
        r.peak_mw,
        e.energy_mwh,
        r.is_last
    from runs as r
    left join rests as e
        on e.number = r.number;
end;
$$;

-- Returns what decides on a vehicle's sessions: the interval in which it reports, the pause that ends a session (gap),
-- at least one and a half of these, whether it has a register, and its last session with the time of that.
create or replace function session_rule(
    p_vehicle integer,
    out reports_every interval,
    out gap interval,
    out has_register boolean,
    out session integer,
    out session_at timestamptz
)
language plpgsql
stable
as $$
begin
    select
        make_interval(secs => coalesce(d.reporting_interval_s, a.reporting_interval_s)),
        greatest(
            make_interval(secs => a.session_gap_s),
            make_interval(secs => coalesce(d.reporting_interval_s, a.reporting_interval_s)) * 1.5
        ),
        s.register_mwh is not null,
        s.session,
        s.session_at
    into reports_every, gap, has_register, session_rule.session, session_rule.session_at
    from accounting as a
    left join devices as d
        on d.device = p_vehicle
    left join live_state as s
        on s.device = p_vehicle;
end;
$$;

-- Returns the charging sessions of a vehicle that begin in a window, each whole, so that neighbouring windows list it
-- once.
create or replace function charging_sessions(p_vehicle text, p_from timestamptz, p_to timestamptz)
returns table (
    begins timestamptz,
    finishes timestamptz,
    meter_id text,
    session_id text,
    register_from_mwh bigint,
    register_to_mwh bigint,
    soc_bp_from smallint,
    soc_bp_to smallint,
    battery_temp_cdeg_max smallint,
    peak_mw double precision,
    -- its energy spread over a rest before it
    rested_mwh bigint,
    is_open boolean
)
language plpgsql
stable
set plan_cache_mode = force_custom_plan
as $$
declare
    l_vehicle constant integer := device_of('vehicle', p_vehicle);
    l_rule constant record := session_rule(l_vehicle);
    l_read record;
    l_first timestamptz;
begin
    if not session_may_begin(l_vehicle, l_rule.gap, p_from, p_to) then
        return;
    end if;
    l_read := sessions_within(
        l_vehicle,
        case when l_rule.has_register then greatest(l_rule.gap, longest_step()) else l_rule.gap end,
        l_rule.session is not null,
        p_from,
        p_to
    );
    if l_rule.has_register then
        select r.time
        into l_first
        from readings as r
        where r.device = l_vehicle
            and r.time > l_read.since - interval '31 days'
            and r.time <= l_read.until
        order by r.time
        limit 1;
    end if;

    return query
    select
        r.begins,
        r.finishes,
        m.id::text,
        n.id::text,
        case when r.register_from_mwh >= 0 then r.register_from_mwh end,
        r.register_to_mwh,
        coalesce(o.soc_bp, r.soc_bp_from),
        r.soc_bp_to,
        r.battery_temp_cdeg_max,
        r.peak_mw,
        coalesce(r.rested_mwh, 0),
        r.is_last
            and greatest(r.finishes, case when r.session = l_rule.session then l_rule.session_at end)
                > least(now(), l_read.until) - l_rule.gap
    from session_runs(l_vehicle, l_rule.reports_every, l_rule.gap, l_first, l_read.since, l_read.until) as r
    left join devices as m
        on m.device = r.meter
    left join session_ids as n
        on n.session = r.session
    -- the reading that opens its first interval
    left join lateral (
        select h.soc_bp
        from readings as h
        where h.device = l_vehicle
            and h.time <= r.begins
            and h.time >= r.begins - l_rule.gap
            and h.time > l_read.since - l_rule.gap
            and h.time <= l_read.until
            and h.soc_bp is not null
        order by h.time desc
        limit 1
    ) as o
        on true
    where r.begins >= p_from
        and r.begins < p_to;
end;
$$;
