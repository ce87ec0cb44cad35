-- Energy accounting: what each vehicle took from each meter.
--
-- Several vehicles on one meter in the same hour share its AC in proportion to their DC. The shares
-- are whole milliwatt-hours that add up to the meter's total exactly: a vehicle gets the difference
-- of two roundings of the running sum, in the order of vehicle ids. AC without any DC stays unattributed.

create or replace function apportion(p_ac bigint, p_before bigint, p_dc bigint, p_total bigint)
returns bigint
language sql
immutable
return case
    when p_total > 0 then (
        div(p_ac::numeric * (p_before + p_dc), p_total) - div(p_ac::numeric * p_before, p_total)
    )::bigint
    when p_ac is not null then 0
end;

-- One vehicle's hours in a window: its DC by meter, and its share of that meter's AC (null when the
-- meter reported nothing in that hour). Reads rollups and history by device only: the other
-- vehicles of a meter come from meter_vehicles.
create or replace function vehicle_energy(p_vehicle text, p_from timestamptz, p_to timestamptz)
returns table (
    hour timestamptz,
    meter_id text,
    dc_mwh bigint,
    ac_mwh bigint,
    dc_readings bigint,
    ac_readings bigint,
    soc_bp_min smallint,
    soc_bp_max smallint,
    battery_temp_cdeg_sum bigint,
    battery_temp_cdeg_max smallint
)
language plpgsql
stable
-- a plan for these times, not for any: a generic one would have to know every chunk
set plan_cache_mode = force_custom_plan
as $$
declare
    l_vehicle constant text[] := array[p_vehicle];
    l_meters text[];
    l_peers text[];
begin
    select array_agg(distinct s.meter_id)
    into l_meters
    from vehicle_slices(l_vehicle, p_from, p_to) as s
    where s.meter_id is not null;

    select array_agg(distinct v.vehicle_id)
    into l_peers
    from meter_vehicles as v
    where v.meter_id = any(l_meters);

    return query
    with charged as (
        select
            s.hour,
            s.meter_id,
            sum(s.energy_mwh)::bigint as total,
            coalesce(sum(s.energy_mwh) filter (where s.vehicle_id collate "C" < p_vehicle), 0)::bigint as before
        from vehicle_slices(l_peers, p_from, p_to) as s
        where s.meter_id = any(l_meters)
        group by 1, 2
    )
    select
        s.hour,
        s.meter_id,
        s.energy_mwh,
        apportion(m.energy_mwh, c.before, s.energy_mwh, c.total),
        s.readings,
        coalesce(m.readings, 0),
        s.soc_bp_min,
        s.soc_bp_max,
        s.battery_temp_cdeg_sum,
        s.battery_temp_cdeg_max
    from vehicle_slices(l_vehicle, p_from, p_to) as s
    left join charged as c
        on c.hour = s.hour
        and c.meter_id = s.meter_id
    left join meter_slices(l_meters, p_from, p_to) as m
        on m.hour = s.hour
        and m.meter_id = s.meter_id;
end;
$$;

-- The same for every vehicle, from the rollups, in whole hours; the efficiency views read it. The two
-- rollups are stacked rather than joined, so that a window over bucket or meter_id bounds both.
create or replace view vehicle_energy_hourly as
select
    s.bucket,
    s.vehicle_id,
    s.meter_id,
    s.dc_mwh,
    apportion(
        s.meter_mwh,
        (s.running_mwh - s.dc_mwh)::bigint,
        s.dc_mwh,
        s.total_mwh::bigint
    ) as ac_mwh,
    s.readings,
    s.soc_bp_min,
    s.soc_bp_max,
    s.battery_temp_cdeg_sum,
    s.battery_temp_cdeg_max
from (
    select
        r.*,
        max(r.ac_mwh) over (partition by r.bucket, r.meter_id) as meter_mwh,
        sum(r.dc_mwh) over (partition by r.bucket, r.meter_id) as total_mwh,
        sum(r.dc_mwh) over (partition by r.bucket, r.meter_id order by r.vehicle_id) as running_mwh
    from (
        select
            v.bucket,
            v.vehicle_id,
            v.meter_id,
            v.energy_mwh as dc_mwh,
            null::bigint as ac_mwh,
            v.readings,
            v.soc_bp_min,
            v.soc_bp_max,
            v.battery_temp_cdeg_sum,
            v.battery_temp_cdeg_max
        from vehicle_hourly as v
        union all
        select m.bucket, null, m.meter_id, null, m.energy_mwh, null, null, null, null, null
        from meter_hourly as m
    ) as r
) as s
where s.vehicle_id is not null;

-- For people and Grafana: kWh, %, °C. A row per vehicle, meter and hour; without a meter, or when
-- the meter reported nothing, the AC side is null.
create or replace view efficiency_hourly as
select
    e.bucket,
    e.vehicle_id,
    e.meter_id,
    e.readings,
    e.dc_mwh / 1e6::float8 as energy_delivered_dc_kwh,
    e.ac_mwh / 1e6::float8 as energy_consumed_ac_kwh,
    (e.ac_mwh - e.dc_mwh) / 1e6::float8 as energy_loss_kwh,
    e.dc_mwh::float8 / nullif(e.ac_mwh, 0) as efficiency_ratio,
    e.soc_bp_min / 100.0::float8 as min_soc_percent,
    e.soc_bp_max / 100.0::float8 as max_soc_percent,
    e.battery_temp_cdeg_sum / (100.0::float8 * e.readings) as avg_battery_temp_c,
    e.battery_temp_cdeg_max / 100.0::float8 as max_battery_temp_c
from vehicle_energy_hourly as e;

-- The same per day of UTC. The ratio and the loss compare only hours whose AC is known. A bound on the
-- day does not reach the hours below: over a long history, bound efficiency_hourly and group it.
create or replace view efficiency_daily as
select
    d.bucket,
    d.vehicle_id,
    d.meter_id,
    d.readings,
    d.dc_mwh / 1e6::float8 as energy_delivered_dc_kwh,
    d.ac_mwh / 1e6::float8 as energy_consumed_ac_kwh,
    (d.ac_mwh - d.metered_dc_mwh) / 1e6::float8 as energy_loss_kwh,
    d.metered_dc_mwh::float8 / nullif(d.ac_mwh, 0)::float8 as efficiency_ratio,
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
        sum(e.dc_mwh) filter (where e.ac_mwh is not null)::bigint as metered_dc_mwh,
        sum(e.ac_mwh)::bigint as ac_mwh,
        min(e.soc_bp_min) as soc_bp_min,
        max(e.soc_bp_max) as soc_bp_max,
        sum(e.battery_temp_cdeg_sum)::bigint as battery_temp_cdeg_sum,
        max(e.battery_temp_cdeg_max) as battery_temp_cdeg_max
    from vehicle_energy_hourly as e
    group by 1, 2, 3
) as d;
