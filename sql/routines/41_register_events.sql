-- What happened to the registers of devices in a window, for the rules of anomalies and for people.

-- Resets (also where a register showed impossibly more), dips from their first reading to the one with which it was
-- back, exchanges, rollovers, placeholders and changes from interval energy, one a row; and flutter, all of a device's
-- readings below its register's highest value that are not of a dip, in one. By the primary keys.
create or replace function register_events_of(p_devices integer[], p_from timestamptz, p_to timestamptz)
returns table (
    device integer,
    is_reverse boolean,
    kind text,
    starts timestamptz,
    ends timestamptz,
    readings bigint
)
language plpgsql
stable
set plan_cache_mode = force_custom_plan
as $$
begin
    return query
    select e.device, e.is_reverse, e.kind, e.time, coalesce(e.until, e.time), 1::bigint
    from register_events as e
    where e.device = any(p_devices)
        and e.time <= p_to
        and coalesce(e.until, e.time) > p_from
    union all
    select r.device, v.is_reverse, 'flutter', min(r.time), max(r.time), count(*)
    from readings as r
    cross join lateral (values (false, r.highest_mwh), (true, r.reverse_highest_mwh)) as v (is_reverse, highest_mwh)
    where r.device = any(p_devices)
        and r.time > p_from
        and r.time <= p_to
        and v.highest_mwh is not null
        and not exists (
            select
            from register_events as e
            where e.device = r.device
                and e.is_reverse = v.is_reverse
                and e.kind = 'dip'
                and e.time <= r.time
                and e.until > r.time
        )
    group by r.device, v.is_reverse
    order by 1, 4;
end;
$$;

-- Forgets what happened to registers before history begins.
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
