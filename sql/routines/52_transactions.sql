-- Transactions of charging stations. Messages come late, twice and out of order: what is recorded depends on what they
-- say, not on when they arrive.

-- Returns the transaction that a station calls so; all null if there is none. A station that calls its transactions by
-- our numbers may also use a number that another system gave it: what is open is meant, or else the last.
create or replace function transaction_of(p_station_id text, p_transaction_id text)
returns transactions
language plpgsql
stable
as $$
declare
    l_found transactions;
begin
    select u.*
    into l_found
    from (
        select t.*
        from transactions as t
        where t.own_id = p_transaction_id
            and t.station_id = p_station_id
        union all
        select t.*
        from transactions as t
        where t.number = case when p_transaction_id ~ '^[1-9][0-9]{0,9}$' then p_transaction_id::bigint end
            and t.own_id is null
            and t.station_id = p_station_id
    ) as u
    order by u.ended_at is null desc, u.at desc
    limit 1;
    return l_found;
end;
$$;

-- Returns the transaction that a start is of; all null if it has not been heard of.
create or replace function transaction_begun(
    p_station_id text,
    p_connector integer,
    p_own_id text,
    p_token text,
    p_at timestamptz,
    p_register_mwh bigint
)
returns transactions
language plpgsql
stable
as $$
declare
    l_found transactions;
begin
    if p_own_id is not null then
        select t.*
        into l_found
        from transactions as t
        where t.own_id = p_own_id
            and t.station_id = p_station_id;
        return l_found;
    end if;
    select t.*
    into l_found
    from transactions as t
    where t.station_id = p_station_id
        and t.connector = p_connector
        and t.at = p_at
        and t.started_at is not null
        and t.own_id is null
        and t.register_start_mwh is not distinct from p_register_mwh
        and (t.token is not distinct from p_token or t.erased_at is not null)
    order by t.number
    limit 1;
    return l_found;
end;
$$;

-- Returns the transaction that an end is of; all null if it has not been heard of.
create or replace function transaction_finished(
    p_station_id text,
    p_connector integer,
    p_transaction_id text,
    p_token text,
    p_at timestamptz,
    p_register_mwh bigint
)
returns transactions
language plpgsql
stable
as $$
declare
    l_found transactions;
begin
    if p_transaction_id is not null then
        return transaction_of(p_station_id, p_transaction_id);
    end if;
    select t.*
    into l_found
    from transactions as t
    where t.station_id = p_station_id
        and t.connector = p_connector
        and t.at = p_at
        and t.started_at is null
        and t.own_id is null
        and t.register_end_mwh is not distinct from p_register_mwh
        and (t.token is not distinct from p_token or t.erased_at is not null)
    order by t.number
    limit 1;
    return l_found;
end;
$$;

-- Returns whom a token stood for at a time; nulls: nobody.
create or replace function held_by(p_token text, p_at timestamptz, out vehicle integer, out driver text)
language plpgsql
stable
as $$
begin
    select h.vehicle, h.driver
    into vehicle, driver
    from tokens as h
    where h.token_key = lower(p_token collate "C")
        and h.since <= p_at
    order by h.since desc
    limit 1;
end;
$$;

-- Writes what a start says into a transaction, or into a new one for a null p_number; returns it.
create or replace function write_start(
    p_number integer,
    p_station_id text,
    p_connector integer,
    p_meter_id text,
    p_own_id text,
    p_token text,
    p_at timestamptz,
    p_register_mwh bigint,
    p_measures text
)
returns transactions
language plpgsql
as $$
declare
    l_meter constant integer := number_device('meter', p_meter_id);
    l_is transactions;
begin
    if p_number is null then
        insert into transactions as t (
            station_id, connector, meter, own_id, token, started_at, register_start_mwh, measures
        )
        values (p_station_id, p_connector, l_meter, p_own_id, p_token, p_at, p_register_mwh, p_measures)
        returning t.* into l_is;
        return l_is;
    end if;
    update transactions as t
    set
        connector = case when w.is_earlier then p_connector else t.connector end,
        meter = case when w.is_earlier then l_meter else t.meter end,
        measures = case when w.is_earlier then p_measures else t.measures end,
        token = case
            when t.erased_at is not null then null
            -- who ended it counts as long as nobody began it
            when t.started_at is null then p_token
            when w.is_earlier then coalesce(p_token, t.token)
            else coalesce(t.token, p_token)
        end,
        started_at = case when w.is_earlier then p_at else t.started_at end,
        register_start_mwh = case
            when w.is_earlier then p_register_mwh
            when p_at = t.started_at then coalesce(t.register_start_mwh, p_register_mwh)
            else t.register_start_mwh
        end
    from (
        select b.number, b.started_at is null or p_at < b.started_at as is_earlier
        from transactions as b
        where b.number = p_number
    ) as w
    where t.number = w.number
    returning t.* into l_is;
    return l_is;
end;
$$;

-- Records the start of a transaction; gives its number, and each change of an assignment that follows (one row without,
-- if there is none). Of several starts of one transaction, the earliest counts; of its token, the first that says one.
create or replace function begin_transaction(
    p_station_id text,
    p_connector integer,
    p_meter_id text,
    p_own_id text,
    p_token text,
    p_at timestamptz,
    p_register_mwh bigint,
    p_measures text
)
returns table (
    number integer, vehicle integer, vehicle_id text, since timestamptz, was_id text, meter_id text, by_number integer
)
language plpgsql
as $$
declare
    l_was transactions := transaction_begun(p_station_id, p_connector, p_own_id, p_token, p_at, p_register_mwh);
    l_is transactions;
    l_from timestamptz;
    l_until timestamptz;
begin
    number := l_was.number;
    if (p_token is null or l_was.token is not null or l_was.erased_at is not null)
        and (
            p_at > l_was.started_at
            or p_at = l_was.started_at and (p_register_mwh is null or l_was.register_start_mwh is not null)
        )
    then
        return next;
        return;
    end if;
    perform pg_advisory_xact_lock(hashtext('fleetmeter.assignments'));
    l_was := transaction_begun(p_station_id, p_connector, p_own_id, p_token, p_at, p_register_mwh);
    l_is := write_start(
        l_was.number, p_station_id, p_connector, p_meter_id, p_own_id, p_token, p_at, p_register_mwh, p_measures
    );
    if l_is.erased_at is null
        and (l_is.token, l_is.started_at) is distinct from (l_was.token, l_was.started_at)
    then
        select h.vehicle, h.driver
        into l_is.vehicle, l_is.driver
        from held_by(l_is.token, l_is.started_at) as h;
        update transactions as t
        set
            vehicle = l_is.vehicle,
            driver = l_is.driver
        where t.number = l_is.number;
    end if;
    l_from := least(l_was.started_at, l_is.started_at);
    l_until := greatest(l_was.started_at, l_is.started_at);
    return query
    select l_is.number, c.vehicle, c.vehicle_id, c.since, c.was_id, c.meter_id, c.number
    from (select) as one
    left join assign_vehicles(
        array[l_was.vehicle, l_is.vehicle]
            || vehicles_ended_by(p_station_id, l_is.connector, l_from, l_until)
            || vehicles_ended_by(p_station_id, l_was.connector, l_from, l_until),
        l_from
    ) as c
        on true;
end;
$$;

-- Writes what an end says into a transaction, or into a new one for a null p_number; returns it.
create or replace function write_end(
    p_number integer,
    p_station_id text,
    p_transaction_id text,
    p_at timestamptz,
    p_register_mwh bigint,
    p_reason text,
    p_connector integer,
    p_token text,
    p_meter_id text,
    p_measures text
)
returns transactions
language plpgsql
as $$
declare
    l_meter integer;
    l_holder record;
    l_is transactions;
begin
    if p_number is null then
        l_meter := number_device('meter', p_meter_id);
        l_holder := held_by(p_token, p_at);
        insert into transactions as t (
            station_id, connector, meter, own_id, token, vehicle, driver, ended_at, register_end_mwh, reason, measures
        )
        values (
            p_station_id, p_connector, l_meter, p_transaction_id, p_token, l_holder.vehicle, l_holder.driver, p_at,
            p_register_mwh, p_reason, p_measures
        )
        returning t.* into l_is;
        return l_is;
    end if;
    update transactions as t
    set
        ended_at = case when w.is_earlier then p_at else t.ended_at end,
        register_end_mwh = case
            when w.is_earlier then p_register_mwh
            when p_at = t.ended_at then coalesce(t.register_end_mwh, p_register_mwh)
            else t.register_end_mwh
        end,
        reason = case
            when w.is_earlier then p_reason
            when p_at = t.ended_at then coalesce(t.reason, p_reason)
            else t.reason
        end
    from (
        select b.number, b.ended_at is null or p_at < b.ended_at as is_earlier
        from transactions as b
        where b.number = p_number
    ) as w
    where t.number = w.number
    returning t.* into l_is;
    return l_is;
end;
$$;

-- Records the end of a transaction, as begin_transaction() its start; no row if it is unknown, and its connector or
-- meter as well. Of several ends, the earliest counts.
create or replace function finish_transaction(
    p_station_id text,
    p_transaction_id text,
    p_at timestamptz,
    p_register_mwh bigint,
    p_reason text,
    p_connector integer,
    p_token text,
    p_meter_id text,
    p_measures text
)
returns table (
    number integer, vehicle integer, vehicle_id text, since timestamptz, was_id text, meter_id text, by_number integer
)
language plpgsql
as $$
declare
    l_was transactions := transaction_finished(
        p_station_id, p_connector, p_transaction_id, p_token, p_at, p_register_mwh
    );
    l_is transactions;
begin
    number := l_was.number;
    if p_at > l_was.ended_at
        or p_at = l_was.ended_at
            and (p_register_mwh is null or l_was.register_end_mwh is not null)
            and (p_reason is null or l_was.reason is not null)
    then
        return next;
        return;
    end if;
    perform pg_advisory_xact_lock(hashtext('fleetmeter.assignments'));
    l_was := transaction_finished(p_station_id, p_connector, p_transaction_id, p_token, p_at, p_register_mwh);
    if l_was.number is null and (p_connector is null or p_meter_id is null) then
        return;
    end if;
    l_is := write_end(
        l_was.number, p_station_id, p_transaction_id, p_at, p_register_mwh, p_reason, p_connector, p_token, p_meter_id,
        p_measures
    );
    return query
    select l_is.number, c.vehicle, c.vehicle_id, c.since, c.was_id, c.meter_id, c.number
    from (select) as one
    left join assign_vehicles(array[l_is.vehicle], l_is.started_at) as c
        on l_is.started_at is not null;
end;
$$;

-- Drops transactions from before history is kept, and what followed from them: assignments and tokens that others had
-- replaced by then.
create or replace function drop_old_transactions()
returns void
language plpgsql
as $$
declare
    l_since constant timestamptz := (select now() - make_interval(days => r.days + 1) from retention as r);
begin
    delete from transactions as t
    where t.at < l_since
        and coalesce(t.ended_at, t.at) < l_since;
    delete from assignments as a
    where a.by_transaction is not null
        and a.since < l_since
        and a.restamped_at is not null
        and exists (
            select
            from assignments as n
            where n.vehicle = a.vehicle
                and n.since > a.since
                and n.since <= l_since
        );
    delete from tokens as h
    where exists (
        select
        from tokens as n
        where n.token_key = h.token_key
            and n.since > h.since
            and n.since <= l_since
    );
end;
$$;
