-- Returns the slices of a window. Whole quarter hours up to p_rolled_up come from the rollup; the two that the window
-- cuts, and those not rolled up yet, from history. So both edges are exact to the millisecond. A device may have
-- several per bucket. For some devices both are read by device and time; for all, without a list, the rollup by time
-- alone.
--
-- Planned once, for any times, since planning would take longer than the rest. A few devices are read one by one: for a
-- list of unknown length the planner would prefer to read the hours of all. A long list is hashed.
create or replace function slices(
    p_devices integer[],
    p_from timestamptz,
    p_to timestamptz,
    p_rolled_up timestamptz default rolled_up_until(),
    p_energy_only boolean default false
)
returns setof quarter_hourly
language plpgsql
stable
set plan_cache_mode = force_generic_plan
as $$
declare
    l_first constant timestamptz := ceil_quarter(p_from);
    l_end constant timestamptz := greatest(l_first, least(floor_quarter(p_to), p_rolled_up));
    l_device integer;
begin
    if l_first < l_end then
        if cardinality(p_devices) <= 100 then
            foreach l_device in array p_devices loop
                return query
                select *
                from rolled_up_quarter_hours as h
                where h.device = l_device
                    and h.bucket >= l_first
                    and h.bucket < l_end;
                return query
                select *
                from spread_quarters as s
                where s.device = l_device
                    and s.bucket >= l_first
                    and s.bucket < l_end;
            end loop;
        else
            if p_energy_only then
                return query
                select
                    h.bucket,
                    h.device,
                    h.meter,
                    h.readings,
                    h.resets,
                    h.energy_mwh,
                    h.covered_ms,
                    -- each rollup, last: null::{type},
                    null::smallint, null::smallint, null::bigint, null::bigint, null::smallint, null::smallint,
                    null::bigint, null::bigint, null::integer, null::integer, null::bigint, null::bigint, null::integer,
                    null::integer, null::bigint, null::bigint, null::integer, null::integer, null::bigint, null::bigint,
                    null::integer, null::integer, null::bigint, null::bigint, null::integer, null::integer
                    -- end
                from rolled_up_quarter_hours as h
                where h.bucket >= l_first
                    and h.bucket < l_end
                    and (p_devices is null or h.device in (select u.device from unnest(p_devices) as u (device)));
            else
                return query
                select *
                from rolled_up_quarter_hours as h
                where h.bucket >= l_first
                    and h.bucket < l_end
                    and (p_devices is null or h.device in (select u.device from unnest(p_devices) as u (device)));
            end if;
            return query
            select *
            from spread_quarters as s
            where s.bucket >= l_first
                and s.bucket < l_end
                and (p_devices is null or s.device in (select u.device from unnest(p_devices) as u (device)));
        end if;
    end if;
    if p_from < least(l_first, p_to) then
        return query
        select *
        from slices_of_history(p_devices, p_from, least(l_first, p_to), p_energy_only);
    end if;
    if l_end < p_to then
        return query
        select *
        from slices_of_history(p_devices, l_end, p_to, p_energy_only);
    end if;
end;
$$;

-- Returns the devices to read whole hours of the fleet for: null, since rollups are read by time alone.
create or replace function devices_of_hours()
returns integer[]
language sql
immutable
return null::integer[];
