-- Energy accounting: what each vehicle took from each meter, hour by hour. docs/energy-accounting.md says
-- the rules with worked numbers.

-- Several vehicles on one meter in the same hour share its AC in proportion to their DC. The shares
-- are whole milliwatt-hours that add up to the meter's total exactly: a vehicle gets the difference
-- of two roundings of the running sum, in the order of vehicle ids. AC without any DC stays unattributed.
create or replace function apportion(p_ac bigint, p_before bigint, p_dc bigint, p_total bigint)
returns bigint
language sql
immutable
parallel safe
return case
    when p_dc = p_total and p_total > 0 then p_ac
    when p_total > 0 then (
        div(p_ac::numeric * (p_before + p_dc), p_total) - div(p_ac::numeric * p_before, p_total)
    )::bigint
    when p_ac is not null then 0
end;

-- Whether a meter and the vehicles on it cover the same time, so that their energy can be compared: the
-- one that covers least has at least p_least_match of what the one that covers most has.
create or replace function comparable(
    p_meter_s bigint,
    p_least_vehicle_s bigint,
    p_most_vehicle_s bigint,
    p_least_match double precision
)
returns boolean
language sql
immutable
parallel safe
return coalesce(
    p_meter_s > 0
    and p_least_vehicle_s > 0
    and p_least_vehicle_s >= p_most_vehicle_s * p_least_match
    and p_least_vehicle_s >= p_meter_s * p_least_match
    and p_meter_s >= p_most_vehicle_s * p_least_match,
    false
);

-- How much of a window has passed, seconds: what could have been measured by now.
create or replace function elapsed_s(p_from timestamptz, p_to timestamptz)
returns bigint
language sql
stable
parallel safe
return greatest(extract(epoch from least(p_to, now()) - p_from), 0)::bigint;

-- The hours of some vehicles at some meters, cut to a window (see vehicle_slices() for its hours). A row of a
-- vehicle has its DC at one meter, or at none (null), and its share of that meter's AC, null when the meter
-- reported nothing. A row without a vehicle is a meter's own, and its AC what nobody took. The vehicles must
-- be all that charged at the meters.
--
-- A device covers its reporting interval with each reading of interval energy, and with one of a register
-- the time since the one before; that is what both sides are compared by, a vehicle with all of its
-- meters taken together. Coverage counts no second of an hour twice.
create or replace function energy_slices(
    p_vehicles text[],
    p_meters text[],
    p_from timestamptz,
    p_hours_from timestamptz,
    p_hours_to timestamptz,
    p_to timestamptz,
    p_interval_s integer,
    p_least_match double precision
)
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
language sql
stable
begin atomic
    select
        g.hour,
        g.vehicle_id,
        g.meter_id,
        g.dc_mwh,
        case
            when g.vehicle_id is not null
                then apportion(g.metered_mwh, (g.running_mwh - g.dc_mwh)::bigint, g.dc_mwh, g.total_mwh::bigint)
            when g.total_mwh > 0 then 0
            else g.metered_mwh
        end,
        g.meter_id is not null
            and comparable(g.meter_covered_s, g.least_covered_s, g.most_covered_s, p_least_match),
        case
            when g.vehicle_id is not null
                then least(g.running_covered_s, g.elapsed_s) - least(g.running_covered_s - g.covered_s, g.elapsed_s)
            else least(coalesce(g.least_covered_s, 0), g.elapsed_s)
        end,
        case when g.meter_id is not null then least(coalesce(g.meter_covered_s, 0), g.elapsed_s)::float8 / g.meters else 0 end,
        g.readings,
        g.resets,
        g.soc_bp_min,
        g.soc_bp_max,
        g.battery_temp_cdeg_sum,
        g.battery_temp_cdeg_min,
        g.battery_temp_cdeg_max,
        g.voltage_mv_sum,
        g.voltage_mv_min,
        g.voltage_mv_max
    from (
        select
            r.*,
            elapsed_s(greatest(r.hour, p_from), least(r.hour + interval '1 hour', p_to)) as elapsed_s,
            max(r.ac_mwh) over meter as metered_mwh,
            max(r.covered_s) filter (where r.vehicle_id is null) over meter as meter_covered_s,
            sum(r.dc_mwh) over meter as total_mwh,
            sum(r.dc_mwh) over (meter order by r.vehicle_id) as running_mwh,
            min(r.vehicle_covered_s) over meter as least_covered_s,
            max(r.vehicle_covered_s) over meter as most_covered_s
        from (
            select
                v.*,
                sum(v.covered_s) over vehicle::bigint as vehicle_covered_s,
                sum(v.covered_s) over (vehicle order by v.meter_id)::bigint as running_covered_s,
                nullif(count(v.meter_id) over vehicle, 0) as meters
            from (
                select
                    s.hour,
                    s.vehicle_id,
                    s.meter_id,
                    s.energy_mwh as dc_mwh,
                    null::bigint as ac_mwh,
                    s.interval_readings * coalesce(d.reporting_interval_s, p_interval_s) + s.span_ms / 1000 as covered_s,
                    s.readings,
                    s.resets,
                    s.soc_bp_min,
                    s.soc_bp_max,
                    s.battery_temp_cdeg_sum,
                    s.battery_temp_cdeg_min,
                    s.battery_temp_cdeg_max,
                    null::bigint as voltage_mv_sum,
                    null::integer as voltage_mv_min,
                    null::integer as voltage_mv_max
                from vehicle_slices(p_vehicles, p_from, p_hours_from, p_hours_to, p_to) as s
                left join vehicle_settings as d
                    on d.vehicle_id = s.vehicle_id
            ) as v
            window vehicle as (partition by v.hour, v.vehicle_id)
            union all
            select
                s.hour,
                null,
                s.meter_id,
                null,
                s.energy_mwh,
                s.interval_readings * coalesce(d.reporting_interval_s, p_interval_s) + s.span_ms / 1000,
                s.readings,
                s.resets,
                null,
                null,
                null,
                null,
                null,
                s.voltage_mv_sum,
                s.voltage_mv_min,
                s.voltage_mv_max,
                null,
                null,
                1
            from meter_slices(p_meters, p_from, p_hours_from, p_hours_to, p_to) as s
            left join meter_settings as d
                on d.meter_id = s.meter_id
        ) as r
        window meter as (partition by r.hour, r.meter_id)
    ) as g;
end;

-- The same for every vehicle in whole hours of UTC, as a relation; the efficiency views read it. The two
-- rollups are stacked rather than joined, so that a bound on bucket bounds both.
create or replace view vehicle_energy_hourly as
select
    s.bucket,
    s.vehicle_id,
    s.meter_id,
    s.dc_mwh,
    apportion(s.meter_mwh, (s.running_mwh - s.dc_mwh)::bigint, s.dc_mwh, s.total_mwh::bigint) as ac_mwh,
    s.meter_id is not null
        and comparable(s.meter_covered_s, s.least_covered_s, s.most_covered_s, a.least_match) as comparable,
    s.readings,
    s.resets,
    s.soc_bp_min,
    s.soc_bp_max,
    s.battery_temp_cdeg_sum,
    s.battery_temp_cdeg_max
from (
    select
        r.*,
        max(r.ac_mwh) over meter as meter_mwh,
        sum(r.dc_mwh) over meter as total_mwh,
        sum(r.dc_mwh) over (meter order by r.vehicle_id) as running_mwh,
        max(r.covered_s) filter (where r.vehicle_id is null) over meter as meter_covered_s,
        min(r.vehicle_covered_s) over meter as least_covered_s,
        max(r.vehicle_covered_s) over meter as most_covered_s
    from (
        select
            v.bucket,
            v.vehicle_id,
            v.meter_id,
            v.energy_mwh as dc_mwh,
            null::bigint as ac_mwh,
            null::bigint as covered_s,
            sum(
                v.interval_readings * coalesce(d.reporting_interval_s, (select a.reporting_interval_s from accounting as a))
                + v.span_ms / 1000
            ) over (partition by v.bucket, v.vehicle_id)::bigint as vehicle_covered_s,
            v.readings,
            v.resets,
            v.soc_bp_min,
            v.soc_bp_max,
            v.battery_temp_cdeg_sum,
            v.battery_temp_cdeg_max
        from vehicle_hourly as v
        left join vehicle_settings as d
            on d.vehicle_id = v.vehicle_id
        union all
        select
            m.bucket,
            null,
            m.meter_id,
            null,
            m.energy_mwh,
            m.interval_readings * coalesce(d.reporting_interval_s, (select a.reporting_interval_s from accounting as a))
                + m.span_ms / 1000,
            null,
            null,
            null,
            null,
            null,
            null,
            null
        from meter_hourly as m
        left join meter_settings as d
            on d.meter_id = m.meter_id
    ) as r
    window meter as (partition by r.bucket, r.meter_id)
) as s
cross join accounting as a
where s.vehicle_id is not null;

-- For people and Grafana: kWh, %, °C. A row per vehicle, meter and hour; without a meter, or when
-- the meter reported nothing, the AC side is null. Loss and ratio are given where both sides cover the
-- same time; a ratio over several rows is the sum of their compared DC by that of their compared AC.
create or replace view efficiency_hourly as
select
    e.bucket,
    e.vehicle_id,
    e.meter_id,
    e.readings,
    e.dc_mwh / 1e6::float8 as energy_delivered_dc_kwh,
    e.ac_mwh / 1e6::float8 as energy_consumed_ac_kwh,
    case when e.comparable then e.dc_mwh / 1e6::float8 end as compared_dc_kwh,
    case when e.comparable then e.ac_mwh / 1e6::float8 end as compared_ac_kwh,
    case when e.comparable then (e.ac_mwh - e.dc_mwh) / 1e6::float8 end as energy_loss_kwh,
    case when e.comparable then e.dc_mwh::float8 / nullif(e.ac_mwh, 0) end as efficiency_ratio,
    e.soc_bp_min / 100.0::float8 as min_soc_percent,
    e.soc_bp_max / 100.0::float8 as max_soc_percent,
    e.battery_temp_cdeg_sum / (100.0::float8 * e.readings) as avg_battery_temp_c,
    e.battery_temp_cdeg_max / 100.0::float8 as max_battery_temp_c
from vehicle_energy_hourly as e;

-- The same per day of UTC. A bound on the day does not reach the hours below: over a long history, bound
-- efficiency_hourly and group it.
create or replace view efficiency_daily as
select
    d.bucket,
    d.vehicle_id,
    d.meter_id,
    d.readings,
    d.dc_mwh / 1e6::float8 as energy_delivered_dc_kwh,
    d.ac_mwh / 1e6::float8 as energy_consumed_ac_kwh,
    d.compared_dc_mwh / 1e6::float8 as compared_dc_kwh,
    d.compared_ac_mwh / 1e6::float8 as compared_ac_kwh,
    (d.compared_ac_mwh - d.compared_dc_mwh) / 1e6::float8 as energy_loss_kwh,
    d.compared_dc_mwh::float8 / nullif(d.compared_ac_mwh, 0)::float8 as efficiency_ratio,
    d.soc_bp_min / 100.0::float8 as min_soc_percent,
    d.soc_bp_max / 100.0::float8 as max_soc_percent,
    d.battery_temp_cdeg_sum / (100.0::float8 * d.readings) as avg_battery_temp_c,
    d.battery_temp_cdeg_max / 100.0::float8 as max_battery_temp_c
from (
    select
        date_bin('1 day', e.bucket, '2000-01-01 00:00:00+00') as bucket,
        e.vehicle_id,
        e.meter_id,
        sum(e.readings)::bigint as readings,
        sum(e.dc_mwh)::bigint as dc_mwh,
        sum(e.ac_mwh)::bigint as ac_mwh,
        sum(e.dc_mwh) filter (where e.comparable)::bigint as compared_dc_mwh,
        sum(e.ac_mwh) filter (where e.comparable)::bigint as compared_ac_mwh,
        min(e.soc_bp_min) as soc_bp_min,
        max(e.soc_bp_max) as soc_bp_max,
        sum(e.battery_temp_cdeg_sum)::bigint as battery_temp_cdeg_sum,
        max(e.battery_temp_cdeg_max) as battery_temp_cdeg_max
    from vehicle_energy_hourly as e
    group by 1, 2, 3
) as d;
