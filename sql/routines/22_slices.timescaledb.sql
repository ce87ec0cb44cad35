-- The slices of a window. The whole hours (p_hours_from, p_hours_to], which end at rolled_up_until(), come from the
-- rollups; the two that the window cuts, and what is not rolled up yet, from history. So both edges are exact to the
-- millisecond. A device may have several of one bucket. Of some devices both are asked by device and time; without a list,
-- of all, the rollups by time alone.
--
-- Planned once, for any times, since planning would take longer than the rest. A few devices are asked for one by
-- one: for a list of unknown length the planner would rather read the hours of all.
create or replace function slices(
    p_devices integer[],
    p_from timestamptz,
    p_hours_from timestamptz,
    p_hours_to timestamptz,
    p_to timestamptz
)
returns setof quarter_hourly
language plpgsql
stable
set plan_cache_mode = force_generic_plan
as $$
declare
    l_device integer;
begin
    if p_hours_from < p_hours_to then
        if cardinality(p_devices) <= 100 then
            foreach l_device in array p_devices loop
                return query
                select *
                from rolled_up_quarter_hours as h
                where h.device = l_device
                    and h.bucket >= p_hours_from
                    and h.bucket < p_hours_to;
                return query
                select *
                from spread_quarters as s
                where s.device = l_device
                    and s.bucket >= p_hours_from
                    and s.bucket < p_hours_to;
            end loop;
        else
            return query
            select *
            from rolled_up_quarter_hours as h
            where h.bucket >= p_hours_from
                and h.bucket < p_hours_to
                and (p_devices is null or h.device = any(p_devices));
            return query
            select *
            from spread_quarters as s
            where s.bucket >= p_hours_from
                and s.bucket < p_hours_to
                and (p_devices is null or s.device = any(p_devices));
        end if;
    end if;
    if p_from < least(p_hours_from, p_to) then
        return query
        select *
        from slices_of_history(p_devices, p_from, least(p_hours_from, p_to));
    end if;
    if p_hours_to < p_to then
        return query
        select *
        from slices_of_history(p_devices, p_hours_to, p_to);
    end if;
end;
$$;
