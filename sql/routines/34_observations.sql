-- What the rules of anomalies go by: the hours that are over, each looked at once, and again when they change.

-- A change of history before this time may concern hours that have been evaluated. An hour is evaluated five minutes
-- after its end; a transaction that began before that has a minute to commit.
create or replace function evaluated_before()
returns timestamptz
language sql
stable
return floor_hour(now() - interval '4 minutes');

-- What energy_slices() says of whole hours, [p_from, p_to), of some devices, or without lists of the whole fleet. The
-- vehicles must be all that charged at the meters. What is rolled up comes from the rollups (of the fleet by time
-- alone), the rest from history device by device: of the fleet, of those whose newest reading is not older.
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
    soc_bp_min smallint,
    soc_bp_max smallint,
    battery_temp_cdeg_sum bigint,
    battery_temp_cdeg_min smallint,
    battery_temp_cdeg_max smallint,
    voltage_mv_sum bigint,
    voltage_mv_min integer,
    voltage_mv_max integer
)
language plpgsql
-- volatile: the hours are read after it is known which are rolled up, and not as they were before that
volatile
-- a plan for these times
set plan_cache_mode = force_custom_plan
set work_mem = '64MB'
set jit = off
as $$
declare
    l_rolled_up constant timestamptz := greatest(p_from, least(p_to, rolled_up_until()));
    l_interval_s constant integer := (select a.reporting_interval_s from accounting as a);
    l_least_match constant double precision := (select a.least_match from accounting as a);
begin
    if p_from < l_rolled_up then
        return query
        select *
        from energy_slices(
            p_vehicles, p_meters, p_from, p_from, l_rolled_up, l_rolled_up, l_interval_s, l_least_match
        );
    end if;
    if l_rolled_up < p_to then
        return query
        select *
        from energy_slices(
            coalesce(p_vehicles, (select array_agg(v.vehicle_id) from vehicle_state as v where v.time >= l_rolled_up), '{}'),
            coalesce(p_meters, (select array_agg(m.meter_id) from meter_state as m where m.time >= l_rolled_up), '{}'),
            l_rolled_up, l_rolled_up, l_rolled_up, p_to, l_interval_s, l_least_match
        );
    end if;
end;
$$;

-- The readings of some vehicles, of each from a time of its own up to p_end: by the primary key, in the chunks from
-- the first of those times on.
create or replace function vehicle_points(p_vehicles text[], p_starts timestamptz[], p_end timestamptz)
returns table (
    id text,
    "time" timestamptz,
    energy_mwh bigint,
    soc_bp smallint,
    battery_temp_cdeg smallint
)
language plpgsql
stable
set plan_cache_mode = force_custom_plan
as $$
declare
    l_first constant timestamptz := (select min(s.start) from unnest(p_starts) as s (start));
begin
    return query
    select r.vehicle_id, r.time, r.energy_mwh, r.soc_bp, r.battery_temp_cdeg
    from unnest(p_vehicles, p_starts) as d (id, start)
    cross join lateral (
        select *
        from vehicle_readings as h
        where h.vehicle_id = d.id
            and h.time >= d.start
            and h.time >= l_first
            and h.time < p_end
        order by h.time
    ) as r;
end;
$$;

-- The same of meters.
create or replace function meter_points(p_meters text[], p_starts timestamptz[], p_end timestamptz)
returns table (
    id text,
    "time" timestamptz,
    energy_mwh bigint,
    voltage_mv integer,
    reset boolean
)
language plpgsql
stable
set plan_cache_mode = force_custom_plan
as $$
declare
    l_first constant timestamptz := (select min(s.start) from unnest(p_starts) as s (start));
begin
    return query
    select r.meter_id, r.time, r.energy_mwh, r.voltage_mv, r.reset
    from unnest(p_meters, p_starts) as d (id, start)
    cross join lateral (
        select *
        from meter_readings as h
        where h.meter_id = d.id
            and h.time >= d.start
            and h.time >= l_first
            and h.time < p_end
        order by h.time
    ) as r;
end;
$$;

-- When the newest reading of each vehicle in [p_since, p_before) was: one look by the primary key each.
create or replace function newest_vehicle_times(p_vehicles text[], p_since timestamptz, p_before timestamptz)
returns table (id text, "time" timestamptz)
language plpgsql
stable
set plan_cache_mode = force_custom_plan
as $$
begin
    return query
    select d.id, r.time
    from unnest(p_vehicles) as d (id)
    cross join lateral (
        select h.time
        from vehicle_readings as h
        where h.vehicle_id = d.id
            and h.time >= p_since
            and h.time < p_before
        order by h.time desc
        limit 1
    ) as r;
end;
$$;

-- The same of meters.
create or replace function newest_meter_times(p_meters text[], p_since timestamptz, p_before timestamptz)
returns table (id text, "time" timestamptz)
language plpgsql
stable
set plan_cache_mode = force_custom_plan
as $$
begin
    return query
    select d.id, r.time
    from unnest(p_meters) as d (id)
    cross join lateral (
        select h.time
        from meter_readings as h
        where h.meter_id = d.id
            and h.time >= p_since
            and h.time < p_before
        order by h.time desc
        limit 1
    ) as r;
end;
$$;

-- The oldest hour at or after a time of which anything is stored; null: there is none. What is rolled up tells by its
-- index on time; only where nothing is, each device is asked for its first reading, by the primary key.
create or replace function first_hour(p_since timestamptz)
returns timestamptz
language plpgsql
stable
set plan_cache_mode = force_custom_plan
as $$
declare
    l_rolled_up constant timestamptz := least(
        (select min(h.bucket) from rolled_up_vehicle_hours as h where h.bucket >= p_since),
        (select min(h.bucket) from rolled_up_meter_hours as h where h.bucket >= p_since)
    );
begin
    if l_rolled_up is not null then
        return l_rolled_up;
    end if;
    return (
        select floor_hour(min(o.time))
        from (
            select (select min(r.time) from vehicle_readings as r where r.vehicle_id = v.vehicle_id and r.time >= p_since) as time
            from vehicle_state as v
            where v.time >= p_since
            union all
            select (select min(r.time) from meter_readings as r where r.meter_id = m.meter_id and r.time >= p_since)
            from meter_state as m
            where m.time >= p_since
        ) as o
    );
end;
$$;
