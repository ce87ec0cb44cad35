-- Assignments that follow from transactions of charging stations. They depend on what is recorded of transactions and
-- on what people said, not on when either arrived: whatever changes, a vehicle's are worked out again from there on.

-- Returns when a transaction that has no end must have ended all the same: where another one began at its connector, or
-- with its vehicle; null: neither has happened.
create or replace function transaction_over_at(
    p_station_id text,
    p_connector integer,
    p_vehicle integer,
    p_started_at timestamptz
)
returns timestamptz
language plpgsql
stable
as $$
begin
    return least(
        (
            select t.at
            from transactions as t
            where t.station_id = p_station_id
                and t.connector = p_connector
                and t.at > p_started_at
                and t.started_at is not null
            order by t.at
            limit 1
        ),
        (
            select t.at
            from transactions as t
            where t.vehicle = p_vehicle
                and t.at > p_started_at
                and t.started_at is not null
            order by t.at
            limit 1
        )
    );
end;
$$;

-- Returns a vehicle's transactions that are in force at p_from or later, or end then, with from when to when; null: it
-- has not ended.
create or replace function transactions_in_force(p_vehicle integer, p_from timestamptz)
returns table (number integer, station_id text, connector integer, meter integer, starts timestamptz, ends timestamptz)
language plpgsql
stable
set plan_cache_mode = force_custom_plan
as $$
begin
    return query
    select t.number, t.station_id, t.connector, t.meter, t.started_at, t.ended_at
    from transactions as t
    where t.vehicle = p_vehicle
        and t.ended_at >= p_from
        and t.started_at < t.ended_at
    union all
    select o.number, o.station_id, o.connector, o.meter, o.started_at, e.at
    from (
        select t.*
        from transactions as t
        where t.vehicle = p_vehicle
            and t.at >= p_from
            and t.ended_at is null
        union all
        -- of those that began before, only the last may still be in force
        select t.*
        from transactions as t
        where t.vehicle = p_vehicle
            and t.at = (
                select max(b.at)
                from transactions as b
                where b.vehicle = p_vehicle
                    and b.at < p_from
                    and b.started_at is not null
            )
            and t.ended_at is null
    ) as o
    cross join lateral transaction_over_at(o.station_id, o.connector, p_vehicle, o.started_at) as e (at)
    where e.at is null
        or e.at >= p_from;
end;
$$;

-- Returns the assignments of a vehicle from a time on that follow from its transactions. A transaction is in force from
-- its start to its end; what somebody said, from its time to the next that somebody said. What began last holds, and
-- what somebody said at the start of a transaction holds against it. Where a transaction ends, what is then in force
-- holds again; null: the vehicle is at no meter.
create or replace function wanted_assignments(p_vehicle integer, p_from timestamptz)
returns table (since timestamptz, meter integer, number integer)
language plpgsql
stable
as $$
declare
    -- of the transactions in force, in the order of their starts
    l_numbers integer[] := '{}';
    l_meters integer[] := '{}';
    l_starts timestamptz[] := '{}';
    l_said_at timestamptz;
    l_said integer;
    l_before integer := (
        select a.meter
        from assignments as a
        where a.vehicle = p_vehicle
            and a.since < p_from
        order by a.since desc
        limit 1
    );
    l_event record;
    l_place integer;
begin
    select a.since, a.meter
    into l_said_at, l_said
    from assignments as a
    where a.vehicle = p_vehicle
        and a.since < p_from
        and a.by_transaction is null
    order by a.since desc
    limit 1;
    for l_event in
        select e.*, lead(e.at) over by_time is distinct from e.at as is_last
        from (
            select t.ends as at, 1 as step, t.number, t.meter, t.station_id, t.connector
            from transactions_in_force(p_vehicle, p_from) as t
            where t.ends is not null
            union all
            select t.starts, 2, t.number, t.meter, t.station_id, t.connector
            from transactions_in_force(p_vehicle, p_from) as t
            union all
            select a.since, 3, null, a.meter, null, null
            from assignments as a
            where a.vehicle = p_vehicle
                and a.since >= p_from
                and a.by_transaction is null
        ) as e
        window by_time as (order by e.at, e.step, e.station_id, e.connector)
        order by e.at, e.step, e.station_id, e.connector
    loop
        case l_event.step
            when 1 then
                l_place := array_position(l_numbers, l_event.number);
                l_numbers := l_numbers[:l_place - 1] || l_numbers[l_place + 1:];
                l_meters := l_meters[:l_place - 1] || l_meters[l_place + 1:];
                l_starts := l_starts[:l_place - 1] || l_starts[l_place + 1:];
            when 2 then
                l_numbers := l_numbers || l_event.number;
                l_meters := l_meters || l_event.meter;
                l_starts := l_starts || l_event.at;
            else
                l_said_at := l_event.at;
                l_said := l_event.meter;
        end case;
        if l_event.is_last and l_event.at >= p_from then
            l_place := cardinality(l_numbers);
            number := l_event.number;
            meter := l_said;
            if l_place > 0 and l_starts[l_place] > coalesce(l_said_at, '-infinity') then
                number := l_numbers[l_place];
                meter := l_meters[l_place];
            end if;
            since := l_event.at;
            if l_event.step < 3 and meter is distinct from l_before then
                return next;
            end if;
            l_before := meter;
        end if;
    end loop;
end;
$$;

-- Has the readings of an assignment stamped again from a time on.
create or replace function stamp_again(p_vehicle integer, p_since timestamptz, p_from timestamptz)
returns void
language plpgsql
as $$
begin
    -- as another assignment, so that a session that stamps readings with it stops
    update assignments as a
    set
        created_at = clock_timestamp(),
        restamped_at = null,
        restamp_from = case
            when a.restamped_at is null then least(coalesce(a.restamp_from, a.since), p_from)
            else p_from
        end
    where a.vehicle = p_vehicle
        and a.since = p_since;
end;
$$;

-- Deletes an assignment that follows from no transaction any more. The one before it holds on; without one, it stays as
-- an assignment to no meter until its readings have been stamped so.
create or replace function withdraw_assignment(p_vehicle integer, p_since timestamptz)
returns void
language plpgsql
as $$
declare
    l_before timestamptz := (
        select max(a.since)
        from assignments as a
        where a.vehicle = p_vehicle
            and a.since < p_since
    );
begin
    update assignments as a
    set
        meter = null,
        created_at = clock_timestamp(),
        restamped_at = null,
        restamp_from = null
    where a.vehicle = p_vehicle
        and a.since = p_since
        and l_before is null
        and (a.meter is not null or a.restamped_at is null);
    if not found then
        delete from assignments as a
        where a.vehicle = p_vehicle
            and a.since = p_since;
        perform stamp_again(p_vehicle, l_before, p_since);
    end if;
end;
$$;

-- Brings a vehicle's assignments from a time on into line with its transactions. Returns where another meter is in
-- force from then on, and which was before. The caller holds fleetmeter.assignments; restamp what is not restamped
-- after it.
create or replace function assign_by_transactions(p_vehicle integer, p_from timestamptz)
returns table (since timestamptz, was integer, meter integer, number integer)
language plpgsql
as $$
declare
    l_newest constant timestamptz := (select s.time from live_state as s where s.device = p_vehicle);
    l_change record;
    l_changes bigint := 0;
begin
    for l_change in
        select
            coalesce(w.since, a.since) as since,
            w.since is not null as is_wanted,
            w.meter,
            w.number,
            w.meter is not distinct from a.meter as is_same,
            assigned_meter(p_vehicle, coalesce(w.since, a.since)) as was
        from wanted_assignments(p_vehicle, p_from) as w
        full join (
            select s.*
            from assignments as s
            where s.vehicle = p_vehicle
                and s.since >= p_from
                and s.by_transaction is not null
        ) as a
            on a.since = w.since
        where w.since is null
            or a.since is null
            or (w.meter, w.number) is distinct from (a.meter, a.by_transaction)
        order by 1
    loop
        l_changes := l_changes + 1;
        if l_change.is_wanted then
            insert into assignments as a (vehicle, since, meter, by_transaction, created_at, restamped_at)
            values (
                p_vehicle, l_change.since, l_change.meter, l_change.number, clock_timestamp(),
                -- without a reading since then there is nothing to stamp: no batch is being stored
                case when l_newest >= l_change.since then null else now() end
            )
            on conflict on constraint assignments_pkey do update
            set
                meter = excluded.meter,
                by_transaction = excluded.by_transaction,
                created_at = case when l_change.is_same then a.created_at else excluded.created_at end,
                restamped_at = case when l_change.is_same then a.restamped_at else excluded.restamped_at end,
                restamp_from = case when l_change.is_same then a.restamp_from end;
        else
            perform withdraw_assignment(p_vehicle, l_change.since);
        end if;
        since := l_change.since;
        was := l_change.was;
        meter := assigned_meter(p_vehicle, l_change.since);
        number := l_change.number;
        if meter is distinct from was then
            return next;
        end if;
    end loop;
    if l_changes > 0 then
        update versions as v
        set assignments = v.assignments + 1;
    end if;
end;
$$;

-- The same for several vehicles, with ids.
create or replace function assign_vehicles(p_vehicles integer[], p_from timestamptz)
returns table (vehicle integer, vehicle_id text, since timestamptz, was_id text, meter_id text, number integer)
language plpgsql
as $$
begin
    return query
    select d.device, d.id, c.since, w.id, m.id, c.number
    from (select distinct u.vehicle from unnest(p_vehicles) as u (vehicle)) as u
    join devices as d
        on d.device = u.vehicle
    cross join lateral assign_by_transactions(d.device, p_from) as c
    left join devices as w
        on w.device = c.was
    left join devices as m
        on m.device = c.meter;
end;
$$;

-- Returns the vehicles whose open transactions at a connector another one ends, which began between two times.
create or replace function vehicles_ended_by(
    p_station_id text,
    p_connector integer,
    p_from timestamptz,
    p_until timestamptz
)
returns integer[]
language plpgsql
stable
as $$
begin
    return array(
        select t.vehicle
        from transactions as t
        where t.station_id = p_station_id
            and t.connector = p_connector
            and t.at <= p_until
            and t.at >= coalesce(
                (
                    select max(b.at)
                    from transactions as b
                    where b.station_id = p_station_id
                        and b.connector = p_connector
                        and b.at < p_from
                        and b.started_at is not null
                ),
                p_from
            )
            and t.ended_at is null
            and t.vehicle is not null
    );
end;
$$;
