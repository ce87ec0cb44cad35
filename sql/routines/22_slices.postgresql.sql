-- Returns the slices of a window: from history, since a view over history cannot be bounded by its bucket; and for
-- whole quarter hours also from the rollups of dropped history, by their indexes. A device may have several per bucket.
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
-- planned for these arguments: a shared plan for some and all devices would read all
set plan_cache_mode = force_custom_plan
as $$
declare
    l_first constant timestamptz := ceil_quarter(p_from);
    l_end constant timestamptz := least(floor_quarter(p_to), p_rolled_up);
begin
    return query
    select *
    from slices_of_history(p_devices, p_from, p_to, p_energy_only);
    if l_first < l_end then
        return query
        select *
        from kept_quarter_hours as k
        where (p_devices is null or k.device = any(p_devices))
            and k.bucket >= l_first
            and k.bucket < l_end;
    end if;
end;
$$;

-- Returns the devices to read whole hours of the fleet for: history has no index by time alone.
create or replace function devices_of_hours()
returns integer[]
language plpgsql
stable
as $$
begin
    return fleet_devices();
end;
$$;
