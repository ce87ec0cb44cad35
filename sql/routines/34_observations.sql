-- The input of the anomaly rules: hours that are over, each evaluated once, and again when it changes.

-- A change of history before this time may concern hours that have been evaluated. An hour is evaluated five minutes
-- after its end; a transaction that began before that has a minute to commit.
create or replace function evaluated_before()
returns timestamptz
language sql
stable
return floor_hour(now() - interval '4 minutes');

-- Returns energy_slices() of whole hours, (p_from, p_to], for some devices or, without lists, for the whole fleet. The
-- list must contain all vehicles that charged at the meters. Rolled up hours come from the rollups (for the fleet, by
-- time alone), the rest from history device by device: for the fleet, those whose newest reading is not older. A meter
-- that sent nothing has no row, even if vehicles were there.
create or replace function observed_hours(p_vehicles text[], p_meters text[], p_from timestamptz, p_to timestamptz)
returns table (
    hour timestamptz,
    vehicle_id text,
    meter_id text,
    dc_mwh bigint,
    ac_mwh bigint,
    comparable boolean,
    covered_dc_s bigint,
    covered_ac_s double precision,
    readings bigint,
    resets bigint,
    -- each rollup, last: {name} {type},
    soc_bp_min smallint, soc_bp_max smallint, battery_temp_cdeg_count bigint, battery_temp_cdeg_sum bigint,
    battery_temp_cdeg_min smallint, battery_temp_cdeg_max smallint, power_w_count bigint, power_w_sum bigint,
    power_w_min integer, power_w_max integer, voltage_mv_count bigint, voltage_mv_sum bigint, voltage_mv_min integer,
    voltage_mv_max integer, voltage_l1_mv_count bigint, voltage_l1_mv_sum bigint, voltage_l1_mv_min integer,
    voltage_l1_mv_max integer, voltage_l2_mv_count bigint, voltage_l2_mv_sum bigint, voltage_l2_mv_min integer,
    voltage_l2_mv_max integer, voltage_l3_mv_count bigint, voltage_l3_mv_sum bigint, voltage_l3_mv_min integer,
    voltage_l3_mv_max integer
    -- end
)
language plpgsql
-- volatile: the hours must be read after it is known which are rolled up, not as they were before
volatile
-- a plan for these times
set plan_cache_mode = force_custom_plan
set work_mem = '64MB'
set jit = off
as $$
declare
    l_devices constant integer[] := case
        when p_vehicles is not null or p_meters is not null
            then coalesce(devices_of('vehicle', p_vehicles) || devices_of('meter', p_meters), '{}')
    end;
    l_rolled_up constant timestamptz := greatest(p_from, least(p_to, floor_hour(rolled_up_until())));
    l_reporting constant integer[] := coalesce(
        l_devices,
        array(select s.device from live_state as s where l_rolled_up < p_to and s.time > l_rolled_up)
    );
    l_unit constant interval := interval '1 hour';
    l_least_match constant double precision := (select a.least_match from accounting as a);
begin
    return query
    select
        e.bucket,
        v.id::text,
        m.id::text,
        e.dc_mwh,
        e.ac_mwh,
        e.comparable,
        e.covered_dc_ms / 1000,
        e.covered_ac_ms / 1000,
        e.readings,
        e.resets,
        -- each rollup, last: e.{name},
        e.soc_bp_min, e.soc_bp_max, e.battery_temp_cdeg_count, e.battery_temp_cdeg_sum, e.battery_temp_cdeg_min,
        e.battery_temp_cdeg_max, e.power_w_count, e.power_w_sum, e.power_w_min, e.power_w_max, e.voltage_mv_count,
        e.voltage_mv_sum, e.voltage_mv_min, e.voltage_mv_max, e.voltage_l1_mv_count, e.voltage_l1_mv_sum,
        e.voltage_l1_mv_min, e.voltage_l1_mv_max, e.voltage_l2_mv_count, e.voltage_l2_mv_sum, e.voltage_l2_mv_min,
        e.voltage_l2_mv_max, e.voltage_l3_mv_count, e.voltage_l3_mv_sum, e.voltage_l3_mv_min, e.voltage_l3_mv_max
        -- end
    from (
        select *
        from energy_slices(l_devices, p_from, l_rolled_up, l_unit, l_least_match)
        where p_from < l_rolled_up
        union all
        select *
        from energy_slices(l_reporting, l_rolled_up, p_to, l_unit, l_least_match)
        where l_rolled_up < p_to
    ) as e
    left join devices as v
        on v.device = e.vehicle
    left join devices as m
        on m.device = e.meter
    where e.vehicle is not null
        or e.ac_mwh is not null;
end;
$$;

-- Returns the readings of some devices of a kind, each from its own time up to p_end, both included, oldest first: by
-- the primary key, in the chunks from the first of those times on.
create or replace function points(p_kind text, p_ids text[], p_starts timestamptz[], p_end timestamptz)
returns table (
    id text,
    "time" timestamptz,
    energy_mwh bigint,
    span_ms bigint,
    reset boolean,
    -- each measurement, last: {column} {type},
    soc_bp smallint, battery_temp_cdeg smallint, power_w integer, odometer_m bigint, reverse_mwh bigint,
    reverse_register_mwh bigint, voltage_mv integer, voltage_l1_mv integer, voltage_l2_mv integer,
    voltage_l3_mv integer, session integer
    -- end
)
language plpgsql
stable
set plan_cache_mode = force_custom_plan
as $$
declare
    l_first constant timestamptz := (select min(s.start) from unnest(p_starts) as s (start));
begin
    return query
    select
        d.id,
        r.time,
        r.energy_mwh,
        r.span_ms,
        r.reset and r.span_ms is null,
        -- each measurement, last: r.{column},
        r.soc_bp, r.battery_temp_cdeg, r.power_w, r.odometer_m, r.reverse_mwh, r.reverse_register_mwh, r.voltage_mv,
        r.voltage_l1_mv, r.voltage_l2_mv, r.voltage_l3_mv, r.session
        -- end
    from unnest(p_ids, devices_of(p_kind, p_ids), p_starts) as d (id, device, start)
    cross join lateral (
        select *
        from readings as h
        where h.device = d.device
            and h.time >= d.start
            and h.time >= l_first
            and h.time <= p_end
        order by h.time
    ) as r;
end;
$$;

-- Returns the readings of some devices of a kind whose energy means a power above the device's own limit, each from its
-- own time up to p_end, both included, oldest first: by the primary key.
create or replace function peaks(
    p_kind text,
    p_ids text[],
    p_starts timestamptz[],
    p_limits_w float8[],
    p_end timestamptz
)
returns table (id text, "time" timestamptz, energy_mwh bigint, span_ms bigint, is_jump boolean)
language plpgsql
stable
set plan_cache_mode = force_custom_plan
as $$
declare
    l_first constant timestamptz := (select min(s.start) from unnest(p_starts) as s (start));
begin
    return query
    select d.id, r.time, r.energy_mwh, r.span_ms, r.is_jump
    from unnest(p_ids, devices_of(p_kind, p_ids), p_starts, p_limits_w) as d (id, device, start, limit_w)
    cross join lateral (
        select h.time, h.energy_mwh, h.span_ms, false as is_jump
        from readings as h
        where h.device = d.device
            and h.time >= d.start
            and h.time >= l_first
            and h.time <= p_end
            and h.span_ms > 0
            and h.energy_mwh > d.limit_w * h.span_ms / 3600
        union all
        select e.time, e.value_mwh - e.highest_mwh, ms_between(e.highest_at, e.time), true
        from register_events as e
        where e.device = d.device
            and not e.is_reverse
            and e.time >= d.start
            and e.time <= p_end
            and e.kind = 'reset'
            and e.value_mwh > e.highest_mwh
        order by 1
    ) as r;
end;
$$;

-- Returns the time of the newest reading in (p_since, p_until] of some devices of a kind: one lookup by primary key
-- each.
create or replace function newest_times(p_kind text, p_ids text[], p_since timestamptz, p_until timestamptz)
returns table (id text, "time" timestamptz)
language plpgsql
stable
set plan_cache_mode = force_custom_plan
as $$
begin
    return query
    select d.id, r.time
    from unnest(p_ids, devices_of(p_kind, p_ids)) as d (id, device)
    cross join lateral (
        select h.time
        from readings as h
        where h.device = d.device
            and h.time > p_since
            and h.time <= p_until
        order by h.time desc
        limit 1
    ) as r;
end;
$$;

-- Returns the oldest hour from a time on with anything stored; null without one. Rollups and spread energy show it by
-- their index on time; only without those is each device's first reading looked up, by the primary key.
create or replace function first_hour(p_since timestamptz)
returns timestamptz
language plpgsql
stable
set plan_cache_mode = force_custom_plan
as $$
begin
    return floor_hour(
        least(
            (select min(s.bucket) from spread_energy as s where s.bucket > p_since),
            coalesce(
                (select min(h.bucket) from rolled_up_quarter_hours as h where h.bucket > p_since),
                (
                    select min(r.time) - interval '1 microsecond'
                    from live_state as s
                    cross join lateral (
                        select min(h.time) as time
                        from readings as h
                        where h.device = s.device
                            and h.time > p_since
                    ) as r
                    where s.time > p_since
                )
            )
        )
    );
end;
$$;
