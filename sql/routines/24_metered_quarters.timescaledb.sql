-- What meters metered by quarter hour, without accounting for vehicles: from the rollup.

-- Returns what some meters metered together in the quarter hours of a window, cut to it; those that no reading covers
-- are left out. Whole quarter hours that are rolled up come from the rollup by time, the rest from history by device.
create or replace function metered_quarters(p_meters integer[], p_from timestamptz, p_to timestamptz)
returns table (quarter timestamptz, energy_mwh bigint, covered_ms bigint)
language plpgsql
stable
set plan_cache_mode = force_custom_plan
set jit = off
as $$
declare
    l_first constant timestamptz := least(ceil_quarter(p_from), p_to);
    l_end constant timestamptz := greatest(l_first, least(floor_quarter(p_to), rolled_up_until()));
begin
    return query
    select quarter_of(s.bucket), sum(s.energy_mwh)::bigint, sum(s.covered_ms)::bigint
    from (
        select r.bucket, r.energy_mwh, r.covered_ms
        from rolled_up_quarter_hours as r
        where r.device = any(p_meters)
            and r.bucket >= l_first
            and r.bucket < l_end
        union all
        select e.bucket, e.energy_mwh, e.covered_ms
        from spread_energy as e
        where e.device = any(p_meters)
            and e.bucket >= l_first
            and e.bucket < l_end
        union all
        select h.bucket, h.energy_mwh, h.covered_ms
        from slices_of_history(p_meters, p_from, l_first, true) as h
        where p_from < l_first
        union all
        select h.bucket, h.energy_mwh, h.covered_ms
        from slices_of_history(p_meters, l_end, p_to, true) as h
        where l_end < p_to
    ) as s
    group by 1
    having sum(s.covered_ms) > 0;
end;
$$;

-- The rollup has them: nothing to add up.
create or replace procedure add_up_meters(p_most integer default 50)
language sql
begin atomic
    select;
end;
