-- Observes how a device reports, to show beside its settings.

-- Returns the median time between the newest readings of a device, seconds; null if there are too few. By the primary
-- key.
create or replace function observed_interval_s(p_device integer, p_newest timestamptz)
returns integer
language plpgsql
stable
set plan_cache_mode = force_custom_plan
as $$
begin
    return (
        select case
            when count(g.gap_s) >= 10 then greatest(1, round(percentile_cont(0.5) within group (order by g.gap_s)))
        end
        from (
            select extract(epoch from n.time - lag(n.time) over (order by n.time))::float8 as gap_s
            from (
                select r.time
                from readings as r
                where r.device = p_device
                    and r.time <= p_newest
                    and r.time > p_newest - interval '31 days'
                order by r.time desc
                limit 61
            ) as n
        ) as g
    );
end;
$$;
