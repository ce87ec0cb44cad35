-- Devices that must be evaluated again, since their history changed in hours that may have been evaluated.

-- Returns the devices that have waited longest, each once, with the ids of their rows; only once the rollups have been
-- refreshed, as far as they contain the hours (the rest is read from history). For the evaluator, one session at a
-- time: when a backlog has noted very many devices repeatedly, replaces their rows by one each.
create or replace function ready_late_devices(p_most bigint)
returns table (device_kind text, device_id text, since timestamptz, ids bigint[])
language plpgsql
as $$
begin
    if exists (select from late_devices offset 10000)
        and exists (select from late_devices offset 4 * (select count(*) from live_state))
    then
        with noted as (
            delete from late_devices as l
            returning l.*
        )
        insert into late_devices (device, since, late_hours_until)
        select n.device, min(n.since), max(n.late_hours_until)
        from noted as n
        group by n.device
        order by min(n.id);
    end if;
    -- hours and devices from the same snapshot
    return query
    select d.kind, d.id::text, r.since, r.ids
    from (
        select l.device, min(l.since) as since, array_agg(l.id) as ids, min(l.id) as first
        from late_devices as l
        where l.late_hours_until < coalesce(
                (select min(h.id) from late_hours as h where h.hour < (select rolled_up_until())),
                9223372036854775807
            )
        group by l.device
        order by min(l.id)
        limit p_most
    ) as r
    join devices as d
        on d.device = r.device
    order by r.first;
end;
$$;
