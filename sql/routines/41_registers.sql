-- The energy of registers; docs/energy-accounting.md explains the rules with worked examples. Readings are processed in
-- the order of their times, whatever the order of arrival: from the last one before the new ones to the first stored
-- one after them at which nothing changes. A reading leaves its highest value (readings.highest_mwh) and, if something
-- happened, a row of register_events: the next reading needs nothing else.
--
-- A fall counts as a reset until the register recovers; then it was a dip, and readings in between count nothing.

-- Returns whether this much energy can be metered between two times at this power.
create or replace function can_meter(p_energy_mwh bigint, p_from timestamptz, p_to timestamptz, p_watts numeric)
returns boolean
language sql
immutable
parallel safe
return p_energy_mwh * 3.6 <= p_watts * extract(epoch from p_to - p_from);

-- Returns whether a rise is impossible: more than 1,000 kWh, and more than 10 MW (10^10 mW; an hour has 3.6 × 10^6 ms).
create or replace function is_jump(p_rise_mwh bigint, p_span_ms bigint)
returns boolean
language sql
immutable
parallel safe
return (p_rise_mwh - 1000000000) * 36 > p_span_ms * 100000;

-- Returns the energy counted across a rollover of the register's range, less than a tenth of the range; null if the
-- fall is not a rollover.
create or replace function rolled_over(p_highest_mwh bigint, p_register_mwh bigint, p_rollover_mwh bigint)
returns bigint
language sql
immutable
parallel safe
return case
    when p_rollover_mwh - p_highest_mwh + p_register_mwh >= 0
        and (p_rollover_mwh - p_highest_mwh + p_register_mwh) * 10 < p_rollover_mwh
        then p_rollover_mwh - p_highest_mwh + p_register_mwh
end;

-- Returns the events of a register, in the order of time, that a reading may still recover to: at most the last
-- sixteen, after the last one with nothing before it, and without those whose highest value has been reached since.
create or replace function open_beginnings(
    p_events register_events[],
    p_at timestamptz,
    p_highest_mwh bigint
)
returns register_events[]
language plpgsql
immutable
as $$
declare
    l_found register_events[] := '{}';
    l_event register_events;
    l_most bigint := p_highest_mwh;
    l_first integer;
begin
    foreach l_event in array p_events loop
        if l_event.kind in ('change', 'exchange') then
            l_found := '{}';
        elsif l_event.kind <> 'dip' then
            -- as it was at that time
            if l_event.low_until >= p_at then
                l_event.low_until := null;
            end if;
            l_found := l_found || l_event;
        end if;
    end loop;
    l_found := l_found[greatest(cardinality(l_found) - 15, 1):];
    l_first := cardinality(l_found) + 1;
    for l_place in reverse cardinality(l_found) .. 1 loop
        if l_found[l_place].highest_mwh > l_most then
            l_most := l_found[l_place].highest_mwh;
            l_first := l_place;
        end if;
    end loop;
    return l_found[l_first:];
end;
$$;

-- Returns the place of the event that a register recovers to, null if it recovers to none: to the highest value before
-- that event. The energy cannot have been metered since the register showed its low value, but what exceeds the highest
-- value can.
create or replace function returned_to(
    p_beginnings register_events[],
    p_highest_mwh bigint,
    p_before timestamptz,
    p_register_mwh bigint,
    p_time timestamptz,
    p_watts numeric
)
returns integer
language plpgsql
immutable
as $$
declare
    l_most bigint := p_highest_mwh;
    l_before timestamptz := p_before;
    l_each register_events;
begin
    for l_place in reverse cardinality(p_beginnings) .. 1 loop
        l_each := p_beginnings[l_place];
        exit when can_meter(
            p_register_mwh - l_each.value_mwh, coalesce(l_each.low_until, l_before), p_time, p_watts
        );
        if l_each.highest_mwh > l_most then
            if p_register_mwh >= l_each.highest_mwh
                and can_meter(p_register_mwh - l_each.highest_mwh, l_each.highest_at, p_time, p_watts)
            then
                return l_place;
            end if;
            l_most := l_each.highest_mwh;
        end if;
        l_before := l_each.highest_at;
    end loop;
    return null;
end;
$$;

-- Returns the value from which on a newer reading must be examined, since it may recover or leaves a low value; null:
-- none.
create or replace function register_limit(p_beginnings register_events[], p_highest_mwh bigint)
returns bigint
language plpgsql
immutable
as $$
declare
    l_most bigint := p_highest_mwh;
    l_limit bigint;
begin
    if p_beginnings[cardinality(p_beginnings)].low_until is null and cardinality(p_beginnings) > 0 then
        return p_highest_mwh + 1;
    end if;
    for l_place in reverse cardinality(p_beginnings) .. 1 loop
        if p_beginnings[l_place].highest_mwh > l_most then
            l_most := p_beginnings[l_place].highest_mwh;
            l_limit := least(l_limit, l_most);
        end if;
    end loop;
    return l_limit;
end;
$$;

-- Returns the settings of a device's registers.
create or replace function register_rule(
    p_device integer,
    out is_session boolean,
    out watts numeric,
    out rollover_mwh bigint,
    out interval_ms bigint
)
language plpgsql
stable
as $$
begin
    select
        d.register is not distinct from 'session',
        coalesce(d.rated_power_w * 1.5, 1000000),
        d.register_rollover_mwh,
        interval_ms_of(d.reporting_interval_s)
    into register_rule.is_session, register_rule.watts, register_rule.rollover_mwh, register_rule.interval_ms
    from devices as d
    where d.device = p_device;
end;
$$;

-- Returns a device's last reading before a time that carries a register; without a value if it carries the other kind
-- of energy. Looks within a day first, for which the planner knows the chunks in advance.
create or replace function register_before(
    p_device integer,
    p_is_reverse boolean,
    p_time timestamptz,
    out at timestamptz,
    out register_mwh bigint,
    out highest_mwh bigint
)
language plpgsql
stable
set plan_cache_mode = force_custom_plan
as $$
declare
    l_from timestamptz := p_time - interval '1 day';
begin
    loop
        if p_is_reverse then
            select r.time, r.reverse_register_mwh, coalesce(r.reverse_highest_mwh, r.reverse_register_mwh)
            into register_before.at, register_before.register_mwh, register_before.highest_mwh
            from readings as r
            where r.device = p_device
                and r.time < p_time
                and r.time >= l_from
                and r.reverse_register_mwh is not null
            order by r.time desc
            limit 1;
        else
            select r.time, r.register_mwh, coalesce(r.highest_mwh, r.register_mwh)
            into register_before.at, register_before.register_mwh, register_before.highest_mwh
            from readings as r
            where r.device = p_device
                and r.time < p_time
                and r.time >= l_from
                and r.energy_mwh is not null
            order by r.time desc
            limit 1;
        end if;
        exit when found or l_from = '-infinity';
        l_from := '-infinity';
    end loop;
end;
$$;

-- The same for a register whose previous reading has been dropped, while the first one that is kept was derived from
-- it: its time and value follow from that.
create or replace function register_dropped(
    p_device integer,
    p_before timestamptz,
    out at timestamptz,
    out register_mwh bigint,
    out highest_mwh bigint
)
language plpgsql
stable
set plan_cache_mode = force_custom_plan
as $$
declare
    l_first record;
begin
    select r.*
    into l_first
    from readings as r
    where r.device = p_device
        and r.energy_mwh is not null
    order by r.time
    limit 1;
    if l_first.register_mwh is null or l_first.span_ms is null or l_first.interval_start is not null then
        return;
    end if;
    register_mwh := coalesce(l_first.highest_mwh, l_first.register_mwh) - l_first.energy_mwh;
    if register_mwh < 0 then
        register_mwh := register_mwh + (register_rule(p_device)).rollover_mwh;
    end if;
    -- a span is in whole milliseconds
    if register_mwh is null or start_of(l_first.time, l_first.span_ms) > p_before - interval '1 millisecond' then
        register_mwh := null;
        return;
    end if;
    at := start_of(l_first.time, l_first.span_ms);
    highest_mwh := register_mwh;
end;
$$;

-- Returns the events of a device's register that the reading at a time leaves to the next one.
create or replace function events_before(p_device integer, p_is_reverse boolean, p_until timestamptz)
returns register_events[]
language plpgsql
stable
as $$
begin
    return array(
        select l.event
        from (
            select e as event, e.time, e.kind
            from register_events as e
            where e.device = p_device
                and e.is_reverse = p_is_reverse
                and e.time <= p_until
                and e.kind <> 'dip'
            order by e.time desc, e.kind desc
            limit 16
        ) as l
        order by l.time, l.kind
    );
end;
$$;

-- Returns the first readings of a register between two times, stored and in the batch, in the order of time. Readings
-- with the other kind of energy are included, without a value.
create or replace function register_series(
    p_device integer,
    p_is_reverse boolean,
    p_from timestamptz,
    p_to timestamptz,
    p_most bigint
)
returns table (
    at timestamptz,
    register_mwh bigint,
    interval_start timestamptz,
    is_new boolean,
    energy_mwh bigint,
    span_ms bigint,
    reset boolean,
    highest_mwh bigint
)
language plpgsql
stable
set plan_cache_mode = force_custom_plan
as $$
begin
    if p_is_reverse then
        return query
        select
            r.time, r.reverse_register_mwh, null::timestamptz, false, null::bigint, null::bigint, null::boolean,
            r.reverse_highest_mwh
        from readings as r
        where r.device = p_device
            and r.time > p_from
            and r.time <= p_to
            and r.reverse_register_mwh is not null
        union all
        select
            n.time, n.register_mwh, null, true, null, null, null, null
        from new_registers as n
        where n.device = p_device
            and n.is_reverse
            and n.time > p_from
            and n.time <= p_to
        order by 1
        limit p_most;
    else
        return query
        select
            r.time, r.register_mwh, r.interval_start, false, r.energy_mwh, r.span_ms, r.reset, r.highest_mwh
        from readings as r
        where r.device = p_device
            and r.time > p_from
            and r.time <= p_to
            and r.energy_mwh is not null
        union all
        select
            n.time, n.register_mwh, n.interval_start, true, null, null, null, null
        from new_registers as n
        where n.device = p_device
            and not n.is_reverse
            and n.time > p_from
            and n.time <= p_to
        order by 1
        limit p_most;
    end if;
end;
$$;

-- Returns what a register's reading adds to the previous one (p_before, p_span_ms earlier), after which the highest
-- value was p_highest_mwh, and the event, if something happened to the register. The highest value is null without a
-- previous reading, or if that had the other kind of energy (p_is_other). A reading of the other kind adds nothing.
create or replace function register_step(
    p_device integer,
    p_is_reverse boolean,
    p_rule record,
    p_beginnings register_events[],
    p_is_other boolean,
    p_before timestamptz,
    p_highest_mwh bigint,
    p_time timestamptz,
    p_register_mwh bigint,
    p_span_ms bigint,
    out energy_mwh bigint,
    out span_ms bigint,
    out reset boolean,
    out highest_mwh bigint,
    out event register_events
)
language plpgsql
immutable
as $$
declare
    l_rise constant bigint := p_register_mwh - p_highest_mwh;
    l_place integer;
begin
    energy_mwh := 0;
    reset := false;
    highest_mwh := p_register_mwh;
    if l_rise is null then
        if p_is_other and p_register_mwh is not null then
            event := (p_device, p_is_reverse, p_time, 'change', null, p_register_mwh, null, p_before, null, null);
        end if;
        return;
    end if;
    event := (p_device, p_is_reverse, p_time, 'reset', null, p_register_mwh, p_highest_mwh, p_before, null, null);
    if p_rule.is_session then
        energy_mwh := case when l_rise < 0 then p_register_mwh else l_rise end;
        span_ms := case when l_rise < 0 then least(p_rule.interval_ms, p_span_ms) else p_span_ms end;
        if not is_jump(energy_mwh, p_span_ms) then
            event := null;
            return;
        end if;
        energy_mwh := 0;
        -- there is nothing that it could recover to
        event.highest_mwh := null;
    elsif l_rise >= 0 then
        l_place := returned_to(p_beginnings, p_highest_mwh, p_before, p_register_mwh, p_time, p_rule.watts);
        if l_place is not null then
            event := p_beginnings[l_place];
            event.kind := 'dip';
            event.until := p_time;
            energy_mwh := p_register_mwh - event.highest_mwh;
            span_ms := round(extract(epoch from p_time - event.highest_at) * 1000);
            reset := true;
            return;
        elsif p_highest_mwh = 0 and not can_meter(l_rise, p_before, p_time, p_rule.watts) then
            event.kind := 'placeholder';
            return;
        elsif not is_jump(l_rise, p_span_ms) then
            event := null;
            energy_mwh := l_rise;
            span_ms := p_span_ms;
            return;
        end if;
    elsif p_register_mwh * 10 >= p_highest_mwh * 9 then
        event := null;
        span_ms := p_span_ms;
        highest_mwh := p_highest_mwh;
        return;
    elsif rolled_over(p_highest_mwh, p_register_mwh, p_rule.rollover_mwh) is not null then
        event.kind := 'rollover';
        energy_mwh := rolled_over(p_highest_mwh, p_register_mwh, p_rule.rollover_mwh);
        span_ms := p_span_ms;
        return;
    end if;
    span_ms := null;
    reset := true;
end;
$$;
