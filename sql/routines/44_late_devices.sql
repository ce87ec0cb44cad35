-- Devices that are to be evaluated anew, since their history changed in hours that may have been evaluated.

-- Those that have waited longest, each once however often it changed, with the rows that say so; only when the rollups
-- have followed, as far as they hold the hours (what they do not hold is read from history). For whoever evaluates, one
-- session at a time: when a backlog has noted very many devices again and again, their rows become one each.
create or replace function ready_late_devices(p_most bigint)
returns table (source text, device_id text, since timestamptz, ids bigint[])
language plpgsql
as $$
begin
    if exists (select from late_devices offset 10000)
        and exists (
            select
            from late_devices
            offset 4 * ((select count(*) from vehicle_state) + (select count(*) from meter_state))
        )
    then
        with noted as (
            delete from late_devices as d
            returning d.*
        )
        insert into late_devices (source, device_id, since, late_hours_until)
        select n.source, n.device_id, min(n.since), max(n.late_hours_until)
        from noted as n
        group by n.source, n.device_id
        order by min(n.id);
    end if;
    -- of the hours and the devices what is there at the same moment
    return query
    select d.source, d.device_id, min(d.since), array_agg(d.id)
    from late_devices as d
    where d.late_hours_until < coalesce(
            (select min(h.id) from late_hours as h where h.hour < rolled_up_until()),
            9223372036854775807
        )
    group by d.source, d.device_id
    order by min(d.id)
    limit p_most;
end;
$$;
