-- Whom the tokens of charging stations stand for, from a time on; -infinity: always.

-- Says whom a token stands for from a time on; null for p_since means now, or always if it has stood for nobody.
-- Returns since when it holds, and whether anything changed: take over its transactions afterwards.
create or replace function set_token(p_token text, p_driver text, p_vehicle_id text, p_since timestamptz)
returns table (since timestamptz, is_changed boolean)
language plpgsql
as $$
declare
    l_key constant text := lower(p_token collate "C");
    l_vehicle integer;
    l_holder tokens;
begin
    perform pg_advisory_xact_lock(hashtext('fleetmeter.assignments'));
    if p_vehicle_id is not null then
        l_vehicle := number_device('vehicle', p_vehicle_id);
    end if;
    since := coalesce(
        p_since,
        case when exists (select from tokens as h where h.token_key = l_key) then now() else '-infinity' end
    );
    select h.*
    into l_holder
    from tokens as h
    where h.token_key = l_key
        and h.since <= set_token.since
    order by h.since desc
    limit 1;
    is_changed := (l_holder.token, l_holder.driver, l_holder.vehicle) is distinct from (p_token, p_driver, l_vehicle);
    if is_changed then
        insert into tokens as h (token_key, since, token, driver, vehicle)
        values (l_key, since, p_token, p_driver, l_vehicle)
        on conflict on constraint tokens_pkey do update
        set
            token = excluded.token,
            driver = excluded.driver,
            vehicle = excluded.vehicle,
            created_at = excluded.created_at;
    else
        since := l_holder.since;
    end if;
    return next;
end;
$$;

-- Brings transactions that began from a time on into line with whom their token stands for since then, p_most of them:
-- all, or those that stood for nobody. Gives how many, and each change of an assignment that follows, as
-- begin_transaction().
create or replace function take_over_transactions(p_token text, p_since timestamptz, p_all boolean, p_most integer)
returns table (
    taken integer, vehicle integer, vehicle_id text, since timestamptz, was_id text, meter_id text, by_number integer
)
language plpgsql
as $$
declare
    l_key constant text := lower(p_token collate "C");
    l_holder record;
    l_until timestamptz;
    l_numbers integer[];
    l_vehicles integer[];
    l_from timestamptz;
begin
    perform pg_advisory_xact_lock(hashtext('fleetmeter.assignments'));
    select h.driver, h.vehicle
    into l_holder
    from tokens as h
    where h.token_key = l_key
        and h.since = p_since;
    if found then
        l_until := (select min(n.since) from tokens as n where n.token_key = l_key and n.since > p_since);
        select array_agg(t.number), array_agg(t.vehicle), min(t.started_at)
        into l_numbers, l_vehicles, l_from
        from (
            select o.*
            from transactions as o
            where o.token_key = l_key
                and o.at >= p_since
                and o.at < coalesce(l_until, 'infinity')
                and (o.driver, o.vehicle) is distinct from (l_holder.driver, l_holder.vehicle)
                and (p_all or o.driver is null and o.vehicle is null)
            order by o.at
            limit p_most
        ) as t;
        update transactions as t
        set
            driver = l_holder.driver,
            vehicle = l_holder.vehicle
        where t.number = any(l_numbers);
    end if;
    return query
    select coalesce(cardinality(l_numbers), 0), c.vehicle, c.vehicle_id, c.since, c.was_id, c.meter_id, c.number
    from (select) as one
    left join assign_vehicles(l_vehicles || l_holder.vehicle, l_from) as c
        on l_from is not null;
end;
$$;
