-- The slices of a window: from history, since a view over history cannot be bounded by its bucket; and of whole hours also
-- from what is kept of history that was dropped, by its indexes. A device may have several of one bucket.
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
-- planned for these arguments: one plan for some devices and for all would read all
set plan_cache_mode = force_custom_plan
as $$
begin
    return query
    select *
    from slices_of_history(p_devices, p_from, p_to);
    if p_hours_from < p_hours_to then
        return query
        select *
        from kept_quarter_hours as k
        where (p_devices is null or k.device = any(p_devices))
            and k.bucket >= p_hours_from
            and k.bucket < p_hours_to;
    end if;
end;
$$;
