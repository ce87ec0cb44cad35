-- What happened to registers in a window, for the anomaly rules.

-- Counts how often registers fell in each hour of (p_from, p_to], for some devices or, without lists, for the fleet:
-- dips (when they are over), resets, and flutter of more than 1 kWh, which is never just the last digit: runs of
-- readings that far below the highest value of their register, outside of dips. Uses register_events_by_time and
-- readings_far_below.
create or replace function register_falls(
    p_vehicles text[],
    p_meters text[],
    p_from timestamptz,
    p_to timestamptz
)
returns table (
    hour timestamptz,
    device_kind text,
    device_id text,
    dips bigint,
    flutters bigint,
    resets bigint
)
language plpgsql
stable
set plan_cache_mode = force_custom_plan
as $$
declare
    l_devices constant integer[] := case
        when p_vehicles is not null or p_meters is not null
            then coalesce(devices_of('vehicle', p_vehicles) || devices_of('meter', p_meters), '{}')
    end;
begin
    return query
    select
        floor_hour(f.time - interval '1 microsecond'),
        d.kind::text,
        d.id::text,
        count(*) filter (where f.kind = 'dip'),
        count(*) filter (where f.kind = 'flutter'),
        count(*) filter (where f.kind = 'reset')
    from (
        select e.device, e.kind, coalesce(e.until, e.time) as time
        from register_events as e
        where (e.kind = 'dip' or e.kind = 'reset' and e.value_mwh < e.highest_mwh)
            and coalesce(e.until, e.time) > p_from
            and coalesce(e.until, e.time) <= p_to
            and (l_devices is null or e.device = any(l_devices))
        union all
        select r.device, 'flutter', r.time
        from readings as r
        where r.time > p_from
            and r.time <= p_to
            and (
                r.highest_mwh - r.register_mwh > 1000000 or r.reverse_highest_mwh - r.reverse_register_mwh > 1000000
            )
            and (l_devices is null or r.device = any(l_devices))
            and not exists (
                select
                from register_events as e
                where e.device = r.device
                    and e.kind = 'dip'
                    and e.time <= r.time
                    and e.until > r.time
            )
            and not coalesce(
                (
                    select b.highest_mwh - b.register_mwh > 1000000
                        or b.reverse_highest_mwh - b.reverse_register_mwh > 1000000
                    from readings as b
                    where b.device = r.device
                        and b.time < r.time
                        and b.time > p_from - interval '1 day'
                        and b.time > r.time - interval '1 day'
                    order by b.time desc
                    limit 1
                ),
                false
            )
    ) as f
    join devices as d
        on d.device = f.device
    group by 1, 2, 3;
end;
$$;

-- Deletes register events from before history begins.
create or replace function forget_register_events()
returns void
language plpgsql
as $$
declare
    l_since constant timestamptz := kept_since();
begin
    delete from register_events as e
    where coalesce(e.until, e.time) < l_since;
end;
$$;
