-- Load profiles: what meters metered by bucket, and the highest quarter hour of each.

-- Returns what some meters metered together between neighbouring bounds, oldest first; buckets that no reading covers
-- are left out. The highest quarter hour is the first of those with most energy that are whole and over: demand is
-- billed by quarter hours. A quarter hour belongs to the bucket that it begins in: no zone of this century has a
-- midnight within one.
create or replace function load_of_meters(p_meters integer[], p_bounds timestamptz[])
returns table (
    starts timestamptz,
    ends timestamptz,
    ac_mwh bigint,
    covered_ac_s double precision,
    elapsed_s double precision,
    peak_mwh bigint,
    peak_at timestamptz
)
language plpgsql
stable
as $$
declare
    l_from constant timestamptz := p_bounds[1];
    l_to constant timestamptz := p_bounds[cardinality(p_bounds)];
begin
    return query
    select
        p_bounds[b.place],
        p_bounds[b.place + 1],
        b.mwh,
        b.ms / 1000.0::float8,
        elapsed_ms(p_bounds[b.place], p_bounds[b.place + 1]) / 1000.0::float8,
        b.highest[1],
        to_timestamp(-b.highest[2])
    from (
        select
            width_bucket(greatest(q.quarter, l_from), p_bounds) as place,
            sum(q.energy_mwh)::bigint as mwh,
            sum(q.covered_ms)::bigint as ms,
            -- of equal ones the first
            max(array[q.energy_mwh, -extract(epoch from q.quarter)::bigint]) filter (
                where q.quarter >= l_from and q.quarter + interval '15 minutes' <= least(l_to, now())
            ) as highest
        from metered_quarters(p_meters, l_from, l_to) as q
        group by 1
    ) as b
    order by 1;
end;
$$;
