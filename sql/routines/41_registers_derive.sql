-- Derives registers again where readings, settings or exchanges have changed: passes over the readings from there on,
-- and stores what changes. The caller holds the device's row of live_state.

-- Returns whether a register has events or recorded exchanges.
create or replace function has_events(p_device integer, p_is_reverse boolean)
returns boolean
language plpgsql
stable
as $$
begin
    return exists (select from register_events as e where e.device = p_device and e.is_reverse = p_is_reverse)
        or exists (select from register_exchanges as x where x.device = p_device and x.is_reverse = p_is_reverse);
end;
$$;

-- Removes a register's events after p_from, up to p_to, and returns them. Its last value before becomes the lowest
-- again.
create or replace function take_events(p_device integer, p_is_reverse boolean, p_from timestamptz, p_to timestamptz)
returns register_events[]
language plpgsql
as $$
declare
    l_taken register_events[];
begin
    update register_events as e
    set low_until = null
    where e.device = p_device
        and e.is_reverse = p_is_reverse
        and e.time <= p_from
        and e.low_until >= p_from;
    with taken as (
        delete from register_events as e
        where e.device = p_device
            and e.is_reverse = p_is_reverse
            and e.time > p_from
            and e.time <= p_to
        returning e
    )
    select coalesce(array_agg(t.e order by (t.e).time, (t.e).kind), '{}')
    into l_taken
    from taken as t;
    return l_taken;
end;
$$;

-- Restores removed events (p_was) after a time, and what earlier ones (p_began) knew about later readings.
create or replace function put_events_back(p_began register_events[], p_was register_events[], p_behind timestamptz)
returns void
language plpgsql
as $$
begin
    insert into register_events
    select w.*
    from unnest(p_was) as w
    where w.time > p_behind;
    update register_events as e
    set low_until = w.low_until
    from unnest(p_began || p_was) as w
    where e.device = w.device
        and e.is_reverse = w.is_reverse
        and e.time = w.time
        and e.kind = w.kind
        and e.low_until is null
        and w.low_until >= p_behind;
end;
$$;

-- Records an event of a register; a dip replaces everything recorded since it began.
create or replace function note_event(p_event register_events)
returns void
language plpgsql
as $$
begin
    if p_event.kind = 'dip' then
        delete from register_events as e
        where e.device = p_event.device
            and e.is_reverse = p_event.is_reverse
            and e.time >= p_event.time
            and (e.time > p_event.time or e.kind <> 'exchange');
        update derived_registers as d
        set
            energy_mwh = coalesce(d.carry_mwh, 0),
            span_ms = case when d.carry_mwh > 0 then d.gap_ms end,
            reset = coalesce(d.carry_mwh, 0) > 0,
            highest_mwh = p_event.highest_mwh
        where d.time >= p_event.time
            and d.time < p_event.until;
    end if;
    insert into register_events
    select (p_event).*
    on conflict (device, is_reverse, time, kind) do update
    set
        value_mwh = excluded.value_mwh,
        highest_mwh = excluded.highest_mwh,
        carry_mwh = excluded.carry_mwh;
end;
$$;

-- Returns the recorded exchanges of a register from a time on, oldest first.
create or replace function exchanges_since(p_device integer, p_is_reverse boolean, p_since timestamptz)
returns register_exchanges[]
language plpgsql
stable
as $$
begin
    return array(
        select x
        from register_exchanges as x
        where x.device = p_device
            and x.is_reverse = p_is_reverse
            and x.at >= p_since
        order by x.at
    );
end;
$$;

-- Restores a register's events as they were before a pass.
create or replace function give_up_pass(
    p_device integer,
    p_is_reverse boolean,
    p_from timestamptz,
    p_began register_events[],
    p_was register_events[]
)
returns void
language plpgsql
as $$
begin
    delete from register_events as e
    where e.device = p_device
        and e.is_reverse = p_is_reverse
        and e.time > p_from
        and e.time <= (select max(d.time) from derived_registers as d);
    perform put_events_back(p_began, p_was, p_from);
end;
$$;

-- Processes the exchanges before a reading: what the old meters counted at the end, and the first value of the new one.
-- Without a previous reading they change nothing.
create or replace function pass_exchanges(
    p_time timestamptz,
    p_before timestamptz,
    p_watts numeric,
    inout exchanges register_exchanges[],
    inout beginnings register_events[],
    inout highest_mwh bigint,
    out carry_mwh bigint
)
language plpgsql
as $$
declare
    l_exchange register_exchanges;
    l_place integer;
begin
    while exchanges[1].at < p_time loop
        l_exchange := exchanges[1];
        exchanges := exchanges[2:];
        if highest_mwh is not null then
            l_place := returned_to(
                beginnings, highest_mwh, p_before, l_exchange.last_mwh, l_exchange.at, p_watts
            );
            highest_mwh := coalesce(beginnings[l_place].highest_mwh, highest_mwh);
            carry_mwh := coalesce(carry_mwh, 0) + greatest(l_exchange.last_mwh - highest_mwh, 0);
            perform note_event((
                l_exchange.device, l_exchange.is_reverse, p_time, 'exchange', null, l_exchange.first_mwh, highest_mwh,
                p_before, null, carry_mwh
            )::register_events);
            highest_mwh := l_exchange.first_mwh;
            beginnings := '{}';
        end if;
    end loop;
end;
$$;

-- Records the event of a reading, and that the register has risen from the value with which an event began; returns the
-- events that the next reading may still recover to. (Not for a dip that began before the pass, which is repeated.)
create or replace function note_step(
    p_beginnings register_events[],
    p_event register_events,
    p_before timestamptz,
    p_was_mwh bigint,
    p_highest_mwh bigint
)
returns register_events[]
language plpgsql
as $$
declare
    l_beginnings register_events[] := p_beginnings;
    l_since timestamptz := p_before;
    l_was_mwh bigint := p_was_mwh;
    l_last integer;
begin
    if p_highest_mwh is null then
        return '{}';
    end if;
    if p_event.kind is not null then
        perform note_event(p_event);
        if p_event.kind <> 'dip' then
            return open_beginnings(p_beginnings || p_event, 'infinity', p_highest_mwh);
        end if;
        l_since := p_event.highest_at;
        l_was_mwh := p_event.highest_mwh;
        l_beginnings := open_beginnings(
            events_before(p_event.device, p_event.is_reverse, p_event.time - interval '1 microsecond'),
            'infinity', l_was_mwh
        );
    end if;
    l_last := cardinality(l_beginnings);
    if p_highest_mwh > l_was_mwh and l_last > 0 and l_beginnings[l_last].low_until is null then
        l_beginnings[l_last].low_until := l_since;
        update register_events as e
        set low_until = l_since
        where e.device = l_beginnings[l_last].device
            and e.is_reverse = l_beginnings[l_last].is_reverse
            and e.time = l_beginnings[l_last].time
            and e.kind = l_beginnings[l_last].kind;
    end if;
    return l_beginnings;
end;
$$;

-- Returns whether a register's state after a stored reading is as it was before the pass, so that nothing later
-- changes.
create or replace function is_settled(
    p_began register_events[],
    p_was register_events[],
    p_beginnings register_events[],
    p_at timestamptz,
    p_highest_mwh bigint
)
returns boolean
language plpgsql
immutable
as $$
begin
    return not exists (select from unnest(p_was) as w where w.time <= p_at and w.until > p_at)
        and open_beginnings(p_beginnings, 'infinity', p_highest_mwh) = open_beginnings(
            p_began || array(select w from unnest(p_was) as w where w.time <= p_at order by w.time, w.kind),
            p_at, p_highest_mwh
        );
end;
$$;

-- Passes over a register's readings in the batch and in history, from p_first to p_last and, unless it stops there,
-- over later ones that depend on them; the results go into derived_registers. If the register recovers from a fall
-- before p_first, returns the time from which the pass must be repeated (again). Otherwise returns whether it reached
-- the newest reading, and what live state must know about the register.
create or replace function derive_pass(
    p_device integer,
    p_is_reverse boolean,
    p_first timestamptz,
    p_last timestamptz,
    p_stops boolean,
    out again timestamptz,
    out is_newest boolean,
    out highest_mwh bigint,
    out limit_mwh bigint
)
language plpgsql
as $$
declare
    l_rule record;
    l_before record;
    l_exchanges register_exchanges[] := '{}';
    l_began register_events[] := '{}';
    l_was register_events[] := '{}';
    l_beginnings register_events[] := '{}';
    l_from timestamptz;
    l_at timestamptz;
    l_until timestamptz := p_last + case when p_stops then interval '0' else interval '1 day' end;
    l_most bigint := case when p_stops then 1000000000 else 8 end;
    l_count bigint;
    l_is_other boolean;
    l_is_same boolean;
    l_carry_mwh bigint;
    l_gap_ms bigint;
    l_step record;
    l_each record;
begin
    delete from derived_registers;
    l_rule := register_rule(p_device);
    l_before := register_before(p_device, p_is_reverse, p_first);
    l_is_other := l_before.at is not null and l_before.register_mwh is null;
    if l_before.at is null and not p_is_reverse then
        l_before := register_dropped(p_device, p_first);
    end if;
    l_at := l_before.at;
    l_from := coalesce(l_at, '-infinity');
    highest_mwh := l_before.highest_mwh;
    if has_events(p_device, p_is_reverse) then
        l_began := events_before(p_device, p_is_reverse, l_from);
        l_beginnings := open_beginnings(l_began, l_from, highest_mwh);
        l_was := take_events(p_device, p_is_reverse, l_from, case when p_stops then p_last else 'infinity' end);
        l_exchanges := exchanges_since(p_device, p_is_reverse, l_from);
    end if;
    is_newest := true;
    <<pass>>
    loop
        l_count := 0;
        for l_each in
            select *
            from register_series(p_device, p_is_reverse, coalesce(l_at, '-infinity'), l_until, l_most)
        loop
            l_count := l_count + 1;
            l_carry_mwh := null;
            if l_exchanges[1].at < l_each.at then
                select x.*
                into l_exchanges, l_beginnings, highest_mwh, l_carry_mwh
                from pass_exchanges(
                    l_each.at, l_at, l_rule.watts, l_exchanges, l_beginnings, highest_mwh
                ) as x;
            end if;
            l_gap_ms := round(extract(epoch from l_each.at - l_at) * 1000);
            l_step := register_step(
                p_device, p_is_reverse, l_rule, l_beginnings, l_is_other, l_at, highest_mwh, l_each.at,
                l_each.register_mwh, l_gap_ms
            );
            if (l_step.event).kind = 'dip' and (l_step.event).time <= l_from then
                again := (l_step.event).time;
                perform give_up_pass(p_device, p_is_reverse, l_from, l_began, l_was);
                return;
            end if;
            if (l_step.event).kind is not null or l_beginnings <> '{}' then
                l_beginnings := note_step(l_beginnings, l_step.event, l_at, highest_mwh, l_step.highest_mwh);
            end if;
            highest_mwh := l_step.highest_mwh;
            l_is_other := l_each.register_mwh is null;
            l_at := l_each.at;
            l_is_same := keep_derived(l_each, l_step, l_carry_mwh, l_gap_ms);
            if l_at > p_last
                and l_is_same
                and (
                    l_began = '{}' and l_was = '{}' and l_beginnings = '{}'
                    or is_settled(l_began, l_was, l_beginnings, l_at, highest_mwh)
                )
            then
                is_newest := false;
                perform put_events_back(l_began, l_was, l_at)
                where l_began <> '{}' or l_was <> '{}';
                exit pass;
            end if;
        end loop;
        if l_count < l_most then
            exit when p_stops or l_until = 'infinity';
            l_until := 'infinity';
        else
            l_most := l_most * 16;
        end if;
    end loop;
    if l_rule.is_session then
        highest_mwh := null;
    end if;
    limit_mwh := case
        when l_exchanges <> '{}' then 0
        else register_limit(open_beginnings(l_beginnings, 'infinity', highest_mwh), highest_mwh)
    end;
end;
$$;

-- Keeps the result of a pass for one reading, including energy from before an exchange; returns whether it equals what
-- is stored.
create or replace function keep_derived(p_reading record, p_step record, p_carry_mwh bigint, p_gap_ms bigint)
returns boolean
language plpgsql
as $$
declare
    l_is derived_register;
begin
    if p_reading.register_mwh is null then
        return not p_reading.is_new;
    end if;
    l_is.time := p_reading.at;
    l_is.is_new := p_reading.is_new;
    l_is.energy_mwh := p_step.energy_mwh + coalesce(p_carry_mwh, 0);
    l_is.span_ms := p_step.span_ms;
    l_is.reset := p_step.reset;
    l_is.highest_mwh := nullif(p_step.highest_mwh, p_reading.register_mwh);
    if p_carry_mwh is not null then
        l_is.span_ms := coalesce(l_is.span_ms, p_gap_ms);
        l_is.reset := true;
    end if;
    if p_reading.interval_start is not null and l_is.span_ms is not null then
        l_is.span_ms := round(extract(epoch from p_reading.at - p_reading.interval_start) * 1000);
    end if;
    l_is.interval_start := p_reading.interval_start;
    l_is.carry_mwh := p_carry_mwh;
    l_is.gap_ms := p_gap_ms;
    -- for energy in the other direction, history has the highest value only
    l_is.was_energy_mwh := case when p_reading.reset is null then l_is.energy_mwh else p_reading.energy_mwh end;
    l_is.was_span_ms := case when p_reading.reset is null then l_is.span_ms else p_reading.span_ms end;
    l_is.was_reset := coalesce(p_reading.reset, l_is.reset);
    l_is.was_highest_mwh := p_reading.highest_mwh;
    insert into derived_registers
    select (l_is).*;
    return not p_reading.is_new and not is_changed(l_is);
end;
$$;

-- Returns whether a reading must be stored differently.
create or replace function is_changed(p_derived derived_register)
returns boolean
language sql
immutable
return (p_derived.energy_mwh, p_derived.span_ms, p_derived.reset, p_derived.highest_mwh)
    is distinct from (p_derived.was_energy_mwh, p_derived.was_span_ms, p_derived.was_reset, p_derived.was_highest_mwh);

-- Derives a register again: its readings from p_first to p_last in the batch and in history, and later ones that depend
-- on them (none if p_stops). Readings of the batch get their energy in new_registers, stored ones in history. Returns
-- the changed intervals for note_changed().
create or replace function derive_registers(
    p_device integer,
    p_is_reverse boolean,
    p_first timestamptz,
    p_last timestamptz,
    p_stops boolean default false,
    out starts timestamptz[],
    out ends timestamptz[]
)
language plpgsql
as $$
declare
    l_first timestamptz := p_first;
    l_pass record;
    l_is_newest boolean;
begin
    -- within a dip: from where it began
    select coalesce(min(e.time), l_first)
    into l_first
    from register_events as e
    where e.device = p_device
        and e.is_reverse = p_is_reverse
        and e.kind = 'dip'
        and e.time < p_first
        and e.until >= p_first;
    loop
        l_pass := derive_pass(p_device, p_is_reverse, l_first, p_last, p_stops);
        exit when l_pass.again is null;
        l_first := l_pass.again;
    end loop;
    l_is_newest := l_pass.is_newest and (
        not p_stops
        or exists (
            select
            from live_state as s
            where s.device = p_device
                and case when p_is_reverse then s.reverse_register_mwh_at else s.energy_at end <= p_last
        )
    );
    update new_registers as n
    set
        energy_mwh = d.energy_mwh,
        span_ms = d.span_ms,
        reset = d.reset,
        highest_mwh = d.highest_mwh
    from derived_registers as d
    where d.is_new
        and n.device = p_device
        and n.is_reverse = p_is_reverse
        and n.time = d.time;
    if p_is_reverse then
        perform store_reverse(p_device, l_is_newest, l_pass.highest_mwh, l_pass.limit_mwh);
        return;
    end if;
    select s.starts, s.ends
    into derive_registers.starts, derive_registers.ends
    from store_derived(p_device, l_is_newest) as s;
    if l_is_newest then
        update live_state as s
        set
            derivation = s.derivation + 1,
            register_limit_mwh = l_pass.limit_mwh
        where s.device = p_device;
    end if;
end;
$$;

-- Leaves only stored readings that change in derived_registers; returns their times in order, null if there are none.
create or replace function changed_times()
returns timestamptz[]
language plpgsql
as $$
begin
    delete from derived_registers as d
    where d.is_new
        or not is_changed(row(d.*)::derived_register);
    return (select array_agg(d.time order by d.time) from derived_registers as d);
end;
$$;

-- Stores the changed energy of derived_registers in history and, if the newest reading is among them, in live state;
-- returns the changed intervals.
create or replace function store_derived(
    p_device integer,
    p_is_newest boolean,
    out starts timestamptz[],
    out ends timestamptz[]
)
language plpgsql
set plan_cache_mode = force_custom_plan
as $$
declare
    l_first timestamptz;
    l_spreads boolean;
    l_updated bigint;
begin
    ends := changed_times();
    if ends is null then
        return;
    end if;
    select
        array_agg(start_of(d.time, greatest(d.span_ms, d.was_span_ms, 0)) order by d.time),
        min(start_of(d.time, coalesce(d.was_span_ms, 0))),
        bool_or(
            is_spread(d.time, d.span_ms, d.interval_start) or is_spread(d.time, d.was_span_ms, d.interval_start)
        )
    into starts, l_first, l_spreads
    from derived_registers as d;
    -- the columnstore finds values that are constant when the statement is planned
    perform lift_unpacking_limit();
    if l_spreads then
        execute 'delete from spread_energy where device = $1 and ends = any($2) and bucket > $3 and bucket <= $4'
        using p_device, ends, floor_quarter(l_first), ends[cardinality(ends)];
    end if;
    execute 'update readings as r
        set
            energy_mwh = d.energy_mwh,
            span_ms = d.span_ms,
            reset = d.reset,
            highest_mwh = d.highest_mwh,
            spread = is_spread(d.time, d.span_ms, d.interval_start)
        from derived_registers as d
        where r.device = $1
            and r.time = d.time
            and r.time >= $2
            and r.time <= $3'
    using p_device, ends[1], ends[cardinality(ends)];
    get diagnostics l_updated = row_count;
    perform require_rows(l_updated, cardinality(ends));
    if l_spreads then
        perform put_pieces(array_fill(p_device, array[cardinality(ends)]), ends);
    end if;
    update live_state as s
    set
        energy_mwh = d.energy_mwh,
        span_ms = d.span_ms,
        reset = d.reset,
        highest_mwh = d.highest_mwh,
        spread = is_spread(d.time, d.span_ms, d.interval_start)
    from derived_registers as d
    where p_is_newest
        and s.device = p_device
        and s.energy_at = d.time;
end;
$$;

-- The same for energy in the other direction: only the highest value is stored, and the energy follows from it.
create or replace function store_reverse(
    p_device integer,
    p_is_newest boolean,
    p_highest_mwh bigint,
    p_limit_mwh bigint
)
returns void
language plpgsql
set plan_cache_mode = force_custom_plan
as $$
declare
    l_times constant timestamptz[] := changed_times();
    l_updated bigint;
begin
    if l_times is not null then
        perform lift_unpacking_limit();
        execute 'update readings as r
            set reverse_highest_mwh = d.highest_mwh
            from derived_registers as d
            where r.device = $1
                and r.time = d.time
                and r.time >= $2
                and r.time <= $3'
        using p_device, l_times[1], l_times[cardinality(l_times)];
        get diagnostics l_updated = row_count;
        perform require_rows(l_updated, cardinality(l_times));
    end if;
    update live_state as s
    set
        derivation = s.derivation + 1,
        reverse_highest_mwh = p_highest_mwh,
        reverse_limit_mwh = p_limit_mwh
    where p_is_newest
        and s.device = p_device;
end;
$$;

-- Derives the registers of the batch in both directions; readings less than a day apart are derived together.
create or replace function derive_batch(
    out devices integer[],
    out starts timestamptz[],
    out ends timestamptz[]
)
language plpgsql
as $$
declare
    l_run record;
    l_changed record;
begin
    delete from new_registers;
    insert into new_registers (device, is_reverse, time, register_mwh, interval_start)
    select i.device, false, i.time, i.register_mwh, i.interval_start
    from incoming as i
    where i.register_mwh is not null
        or i.energy_mwh is not null
            and i.device in (select o.device from incoming as o where o.register_mwh is not null)
    union all
    select i.device, true, i.time, i.reverse_register_mwh, null
    from incoming as i
    where i.reverse_register_mwh is not null;
    for l_run in
        select n.device, n.is_reverse, min(n.time) as first, max(n.time) as last
        from (
            select s.*, count(*) filter (where s.is_first) over by_time as run
            from (
                select r.*, (r.time - lag(r.time) over by_time <= interval '1 day') is not true as is_first
                from new_registers as r
                where r.register_mwh is not null
                window by_time as (partition by r.device, r.is_reverse order by r.time)
            ) as s
            window by_time as (partition by s.device, s.is_reverse order by s.time)
        ) as n
        group by n.device, n.is_reverse, n.run
        order by n.device, n.is_reverse, n.run
    loop
        l_changed := derive_registers(l_run.device, l_run.is_reverse, l_run.first, l_run.last);
        devices := devices || array_fill(l_run.device, array[coalesce(cardinality(l_changed.ends), 0)]);
        starts := starts || l_changed.starts;
        ends := ends || l_changed.ends;
    end loop;
    update incoming as i
    set
        energy_mwh = n.energy_mwh,
        span_ms = n.span_ms,
        reset = n.reset,
        highest_mwh = n.highest_mwh,
        spread = is_spread(n.time, n.span_ms, n.interval_start)
    from new_registers as n
    where n.register_mwh is not null
        and not n.is_reverse
        and i.device = n.device
        and i.time = n.time;
    update incoming as i
    set reverse_highest_mwh = n.highest_mwh
    from new_registers as n
    where n.highest_mwh is not null
        and n.is_reverse
        and i.device = n.device
        and i.time = n.time;
end;
$$;

-- Returns what a register of energy in the other direction adds to the previous reading; null if it starts there, or if
-- the value does not belong to it.
create or replace function reverse_energy(
    p_device integer,
    p_time timestamptz,
    p_register_mwh bigint,
    p_highest_mwh bigint,
    out energy_mwh bigint
)
language plpgsql
stable
as $$
declare
    l_before record;
    l_rule record;
    l_event register_events;
    l_exchange register_events;
    l_from_mwh bigint;
begin
    l_before := register_before(p_device, true, p_time);
    if l_before.at is null then
        return;
    end if;
    l_rule := register_rule(p_device);
    select e.*
    into l_event
    from register_events as e
    where e.device = p_device
        and e.is_reverse
        and e.kind <> 'exchange'
        and (e.time = p_time or e.kind = 'dip' and e.time <= p_time and e.until >= p_time)
    order by e.kind = 'dip' desc
    limit 1;
    select e.*
    into l_exchange
    from register_events as e
    where e.device = p_device
        and e.is_reverse
        and e.kind = 'exchange'
        and e.time = p_time;
    if l_event.until > p_time then
        -- the value counts nothing, but what the old meters counted at the end does
        energy_mwh := nullif(l_exchange.carry_mwh, 0);
        return;
    end if;
    l_from_mwh := coalesce(l_exchange.value_mwh, l_before.highest_mwh);
    energy_mwh := case
        when l_event.kind = 'dip' then p_register_mwh - l_event.highest_mwh
        when l_event.kind = 'rollover' then rolled_over(l_event.highest_mwh, p_register_mwh, l_rule.rollover_mwh)
        when l_event.kind is not null then null
        when l_rule.is_session and p_register_mwh < l_from_mwh then p_register_mwh
        else greatest(coalesce(p_highest_mwh, p_register_mwh) - l_from_mwh, 0)
    end;
    if l_exchange.carry_mwh is not null then
        energy_mwh := coalesce(energy_mwh, 0) + l_exchange.carry_mwh;
    end if;
end;
$$;
