-- Energy accounting: what each vehicle took from each meter, quarter hour by quarter hour. docs/energy-accounting.md
-- explains the rules with worked examples.

-- Several vehicles on one meter in the same quarter hour share its AC in proportion to their DC. The shares
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

-- Returns whether a meter and the vehicles on it cover the same time, so that their energy can be compared: the one
-- that covers least has at least p_least_match of what the one that covers most has.
create or replace function comparable(
    p_meter_ms bigint,
    p_least_vehicle_ms bigint,
    p_most_vehicle_ms bigint,
    p_least_match double precision
)
returns boolean
language sql
immutable
parallel safe
return coalesce(
    p_meter_ms > 0
    and p_least_vehicle_ms > 0
    and p_least_vehicle_ms >= p_most_vehicle_ms * p_least_match
    and p_least_vehicle_ms >= p_meter_ms * p_least_match
    and p_meter_ms >= p_most_vehicle_ms * p_least_match,
    false
);

-- Returns how much of a window has passed, milliseconds: the time that could have been measured by now.
create or replace function elapsed_ms(p_from timestamptz, p_to timestamptz)
returns bigint
language sql
stable
parallel safe
return greatest(date_part('epoch', least(p_to, now()) - p_from) * 1000, 0)::bigint;

-- Returns whether all of some devices report only while they charge: by their setting, or by the habit that the anomaly
-- rules have learned (HABIT in rules/silence/pauses.py). False without devices. By the primary keys, until one does
-- not.
create or replace function all_report_while_charging(p_devices integer[])
returns boolean
language plpgsql
stable
as $$
begin
    return cardinality(p_devices) > 0 and not exists (
        select
        from unnest(p_devices) as u (device)
        join devices as d
            on d.device = u.device
        where d.reports = 'always'
            or d.reports is null
                and not exists (
                    select
                    from anomaly_memory as m
                    where m.aspect = 'hours'
                        and m.device_kind = d.kind
                        and m.device_id = d.id
                        and (m.memory ->> 'pauses')::integer >= 3
                )
    );
end;
$$;

-- Returns meters that do not feed chargers: their energy is not apportioned to vehicles.
create or replace function no_chargers()
returns table (device integer)
language sql
stable
begin atomic
    select d.device
    from devices as d
    where d.role <> 'charger';
end;

-- Returns some devices, by the primary key; or, without a list, all vehicles and chargers' meters.
create or replace function accountable_devices(p_devices integer[])
returns setof devices
language sql
stable
begin atomic
    select l.*
    from devices as l
    where l.device = any(p_devices)
    union all
    select a.*
    from devices as a
    where p_devices is null
        and coalesce(a.role, 'charger') = 'charger';
end;

-- Returns how much of a vehicle's time is counted at one of its meters, where p_running_ms is its time up to this one:
-- never more than has passed of the slice, at all of them together.
create or replace function counted_ms(p_ms bigint, p_running_ms bigint, p_elapsed_ms bigint)
returns bigint
language sql
immutable
parallel safe
return least(p_running_ms, p_elapsed_ms) - least(p_running_ms - p_ms, p_elapsed_ms);

-- Returns the slices of some devices, or of all without a list (slices()), and an empty one of each meter that vehicles
-- were at: it may have reported nothing.
create or replace function slices_with_silent_meters(
    p_devices integer[],
    p_from timestamptz,
    p_to timestamptz,
    p_rolled_up timestamptz,
    p_energy_only boolean
)
returns setof quarter_hourly
language sql
stable
begin atomic
    with parts as materialized (
        select *
        from slices(p_devices, p_from, p_to, p_rolled_up, p_energy_only)
    )
    select *
    from parts
    union all
    select distinct
        m.bucket,
        m.meter,
        null::integer,
        0::bigint,
        0::bigint,
        null::bigint,
        0::bigint,
        -- each rollup, last: null::{type},
        null::smallint, null::smallint, null::bigint, null::bigint, null::smallint, null::smallint, null::bigint,
        null::bigint, null::integer, null::integer, null::bigint, null::bigint, null::integer, null::integer,
        null::bigint, null::bigint, null::integer, null::integer, null::bigint, null::bigint, null::integer,
        null::integer, null::bigint, null::bigint, null::integer, null::integer
        -- end
    from parts as m
    where m.meter is not null;
end;

-- Returns slices_with_silent_meters(), added up by device, meter and p_unit.
create or replace function slices_by_unit(
    p_devices integer[],
    p_from timestamptz,
    p_to timestamptz,
    p_unit interval,
    p_rolled_up timestamptz,
    p_energy_only boolean
)
returns setof quarter_hourly
language sql
stable
begin atomic
    select
        date_bin(p_unit, l.bucket, '2000-01-01 00:00:00+00') as bucket,
        l.device,
        l.meter,
        sum(l.readings)::bigint as readings,
        sum(l.resets)::bigint as resets,
        sum(l.energy_mwh)::bigint as energy_mwh,
        sum(l.covered_ms)::bigint as covered_ms,
        -- each rollup, last: {of_rollup} as {name},
        min(soc_bp_min) as soc_bp_min, max(soc_bp_max) as soc_bp_max,
        sum(battery_temp_cdeg_count)::bigint as battery_temp_cdeg_count,
        sum(battery_temp_cdeg_sum)::bigint as battery_temp_cdeg_sum,
        min(battery_temp_cdeg_min) as battery_temp_cdeg_min, max(battery_temp_cdeg_max) as battery_temp_cdeg_max,
        sum(power_w_count)::bigint as power_w_count, sum(power_w_sum)::bigint as power_w_sum,
        min(power_w_min) as power_w_min, max(power_w_max) as power_w_max,
        sum(voltage_mv_count)::bigint as voltage_mv_count, sum(voltage_mv_sum)::bigint as voltage_mv_sum,
        min(voltage_mv_min) as voltage_mv_min, max(voltage_mv_max) as voltage_mv_max,
        sum(voltage_l1_mv_count)::bigint as voltage_l1_mv_count, sum(voltage_l1_mv_sum)::bigint as voltage_l1_mv_sum,
        min(voltage_l1_mv_min) as voltage_l1_mv_min, max(voltage_l1_mv_max) as voltage_l1_mv_max,
        sum(voltage_l2_mv_count)::bigint as voltage_l2_mv_count, sum(voltage_l2_mv_sum)::bigint as voltage_l2_mv_sum,
        min(voltage_l2_mv_min) as voltage_l2_mv_min, max(voltage_l2_mv_max) as voltage_l2_mv_max,
        sum(voltage_l3_mv_count)::bigint as voltage_l3_mv_count, sum(voltage_l3_mv_sum)::bigint as voltage_l3_mv_sum,
        min(voltage_l3_mv_min) as voltage_l3_mv_min, max(voltage_l3_mv_max) as voltage_l3_mv_max
        -- end
    from slices_with_silent_meters(p_devices, p_from, p_to, p_rolled_up, p_energy_only) as l
    group by 1, 2, 3;
end;

-- Returns slices_by_unit() as the energy of one side, mWh: a vehicle's DC at one charger's meter or at none (null), or
-- a meter's AC. A device covers the intervals of its energy; beside the time of the slice stand that of the vehicle at
-- all of its meters, the running sum over them in the order of their ids, and at how many it was. Without a list of
-- devices, meters that do not feed chargers are left out.
create or replace function slices_by_side(
    p_devices integer[],
    p_from timestamptz,
    p_to timestamptz,
    p_unit interval,
    p_rolled_up timestamptz,
    p_energy_only boolean
)
returns table (
    bucket timestamptz,
    id text,
    vehicle integer,
    meter integer,
    dc_mwh bigint,
    ac_mwh bigint,
    covered_ms bigint,
    vehicle_covered_ms bigint,
    running_covered_ms bigint,
    meters bigint,
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
language sql
stable
begin atomic
    select
        s.bucket,
        s.id,
        case when s.kind = 'vehicle' then s.device end,
        s.charger,
        case when s.kind = 'vehicle' then s.energy_mwh end,
        case when s.kind = 'meter' then s.energy_mwh end,
        s.covered_ms,
        (sum(s.covered_ms) filter (where s.kind = 'vehicle') over device)::bigint,
        -- ids of meters are looked up where they matter: few vehicles are at several in a quarter hour
        (
            sum(s.covered_ms) over (
                device
                order by case when s.rows > 1 then (select m.id from devices as m where m.device = s.charger) end
            )
        )::bigint,
        s.meters,
        s.readings,
        s.resets,
        -- each rollup, last: s.{name},
        s.soc_bp_min, s.soc_bp_max, s.battery_temp_cdeg_count, s.battery_temp_cdeg_sum, s.battery_temp_cdeg_min,
        s.battery_temp_cdeg_max, s.power_w_count, s.power_w_sum, s.power_w_min, s.power_w_max, s.voltage_mv_count,
        s.voltage_mv_sum, s.voltage_mv_min, s.voltage_mv_max, s.voltage_l1_mv_count, s.voltage_l1_mv_sum,
        s.voltage_l1_mv_min, s.voltage_l1_mv_max, s.voltage_l2_mv_count, s.voltage_l2_mv_sum, s.voltage_l2_mv_min,
        s.voltage_l2_mv_max, s.voltage_l3_mv_count, s.voltage_l3_mv_sum, s.voltage_l3_mv_min, s.voltage_l3_mv_max
        -- end
    from (
        select
            u.*,
            d.id,
            d.kind,
            case
                when d.kind = 'meter' then u.device
                when u.meter = any(array(select n.device from no_chargers() as n)) then null
                else u.meter
            end as charger,
            count(*) over device as rows,
            count(u.meter) over device as meters
        from slices_by_unit(p_devices, p_from, p_to, p_unit, p_rolled_up, p_energy_only) as u
        join accountable_devices(p_devices) as d
            on d.device = u.device
        window device as (partition by u.bucket, u.device)
    ) as s
    window device as (partition by s.bucket, s.device);
end;

-- Returns slices_by_side() and, beside each, how much of it lies in the window and has passed; what its meter metered,
-- and what the vehicles on the meter took, in total and up to this one in the order of their ids (running), mWh; and
-- how long the meter covers, and those of the vehicles that cover least and most, ms. Vehicles at no meter are taken
-- together.
create or replace function slices_beside_meters(
    p_devices integer[],
    p_from timestamptz,
    p_to timestamptz,
    p_unit interval,
    p_rolled_up timestamptz,
    p_energy_only boolean
)
returns table (
    bucket timestamptz,
    id text,
    vehicle integer,
    meter integer,
    dc_mwh bigint,
    ac_mwh bigint,
    covered_ms bigint,
    vehicle_covered_ms bigint,
    running_covered_ms bigint,
    meters bigint,
    readings bigint,
    resets bigint,
    -- each rollup: {name} {type},
    soc_bp_min smallint, soc_bp_max smallint, battery_temp_cdeg_count bigint, battery_temp_cdeg_sum bigint,
    battery_temp_cdeg_min smallint, battery_temp_cdeg_max smallint, power_w_count bigint, power_w_sum bigint,
    power_w_min integer, power_w_max integer, voltage_mv_count bigint, voltage_mv_sum bigint, voltage_mv_min integer,
    voltage_mv_max integer, voltage_l1_mv_count bigint, voltage_l1_mv_sum bigint, voltage_l1_mv_min integer,
    voltage_l1_mv_max integer, voltage_l2_mv_count bigint, voltage_l2_mv_sum bigint, voltage_l2_mv_min integer,
    voltage_l2_mv_max integer, voltage_l3_mv_count bigint, voltage_l3_mv_sum bigint, voltage_l3_mv_min integer,
    voltage_l3_mv_max integer,
    -- end
    elapsed_ms bigint,
    metered_mwh bigint,
    total_mwh numeric,
    running_mwh numeric,
    meter_covered_ms bigint,
    least_covered_ms bigint,
    most_covered_ms bigint
)
language sql
stable
begin atomic
    select
        s.*,
        elapsed_ms(greatest(s.bucket, p_from), least(s.bucket + p_unit, p_to)),
        max(s.ac_mwh) over meter,
        sum(s.dc_mwh) over meter,
        sum(s.dc_mwh) over (meter order by s.id collate "C"),
        max(s.covered_ms) filter (where s.vehicle is null) over meter,
        min(s.vehicle_covered_ms) over meter,
        max(s.vehicle_covered_ms) over meter
    from slices_by_side(p_devices, p_from, p_to, p_unit, p_rolled_up, p_energy_only) as s
    window meter as (partition by s.bucket, s.meter);
end;

-- Returns the quarter hours (p_unit; the anomaly rules use hours) of some devices, or of all without a list, cut to a
-- window. A vehicle's row has its DC at one meter, or at none (null), and its share of that meter's AC, null when the
-- meter reported nothing. A row without a vehicle is a meter's own, and its AC is what no vehicle took. The list must
-- contain all vehicles that charged at its meters.
--
-- A device covers the intervals of its energy; both sides are compared by this coverage, a vehicle with all of its
-- meters together. A vehicle's time is counted first at the meters whose ids come first. `is_common` is
-- true where the meter and a vehicle on it cover the slice (each may lack half of the tolerance), false where both
-- cover a part of it, and null where one of them covers nothing. `charging_ms` is how long a vehicle's readings, or
-- those of the meter and of any vehicle on it, cover, if that is charging by the mean power of either.
create or replace function energy_slices(
    p_devices integer[],
    p_from timestamptz,
    p_to timestamptz,
    p_unit interval,
    p_least_match double precision,
    p_rolled_up timestamptz default rolled_up_until(),
    p_energy_only boolean default false
)
returns table (
    bucket timestamptz,
    vehicle integer,
    meter integer,
    dc_mwh bigint,
    ac_mwh bigint,
    comparable boolean,
    is_common boolean,
    covered_dc_ms bigint,
    covered_ac_ms double precision,
    charging_ms bigint,
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
language sql
stable
begin atomic
    select
        g.bucket,
        g.vehicle,
        g.meter,
        g.dc_mwh,
        case
            when g.vehicle is not null
                then apportion(g.metered_mwh, (g.running_mwh - g.dc_mwh)::bigint, g.dc_mwh, g.total_mwh::bigint)
            when g.total_mwh > 0 and g.metered_mwh is not null then 0
            else g.metered_mwh
        end,
        g.meter is not null
            and comparable(g.meter_covered_ms, g.least_covered_ms, g.most_covered_ms, p_least_match),
        case
            when g.meter_covered_ms > 0 and g.most_covered_ms > 0 and g.meter is not null
                then least(g.meter_covered_ms, g.most_covered_ms) >= g.elapsed_ms * (1 + p_least_match) / 2
                    -- no vehicle charges yet: which part of the running slice it is makes no difference
                    or g.total_mwh = 0 and g.bucket + p_unit > now()
        end,
        case
            when g.vehicle is not null then counted_ms(g.covered_ms, g.running_covered_ms, g.elapsed_ms)
            else least(coalesce(g.least_covered_ms, 0), g.elapsed_ms)
        end,
        case
            when g.meter is not null
                then least(coalesce(g.meter_covered_ms, 0), g.elapsed_ms)::float8 / greatest(g.meters, 1)
            else 0
        end,
        case
            when g.vehicle is not null and is_charging(g.dc_mwh, least(g.covered_ms, g.elapsed_ms))
                then counted_ms(g.covered_ms, g.running_covered_ms, g.elapsed_ms)
            when g.vehicle is null and is_charging(
                greatest(g.metered_mwh, g.total_mwh::bigint),
                least(greatest(g.meter_covered_ms, g.most_covered_ms), g.elapsed_ms)
            ) then least(greatest(g.meter_covered_ms, g.most_covered_ms), g.elapsed_ms)
            else 0
        end,
        g.readings,
        g.resets,
        -- each rollup, last: g.{name},
        g.soc_bp_min, g.soc_bp_max, g.battery_temp_cdeg_count, g.battery_temp_cdeg_sum, g.battery_temp_cdeg_min,
        g.battery_temp_cdeg_max, g.power_w_count, g.power_w_sum, g.power_w_min, g.power_w_max, g.voltage_mv_count,
        g.voltage_mv_sum, g.voltage_mv_min, g.voltage_mv_max, g.voltage_l1_mv_count, g.voltage_l1_mv_sum,
        g.voltage_l1_mv_min, g.voltage_l1_mv_max, g.voltage_l2_mv_count, g.voltage_l2_mv_sum, g.voltage_l2_mv_min,
        g.voltage_l2_mv_max, g.voltage_l3_mv_count, g.voltage_l3_mv_sum, g.voltage_l3_mv_min, g.voltage_l3_mv_max
        -- end
    from slices_beside_meters(p_devices, p_from, p_to, p_unit, p_rolled_up, p_energy_only) as g;
end;

-- Returns the quarter hours of energy_slices() with the part of their energy that can be compared: DC and AC of the
-- time that a vehicle and its meter both cover, and its length. If they cover the slice, that is all of it; if each
-- covers a part, their readings show which (common_energy); otherwise it is null. In a meter's own row it is the time
-- that the meter and any vehicle cover. `charging_ms` is the time in which a vehicle charged by its own readings, in a
-- meter's own row by those of either side, and `charging_compared_ms` the part of it that both cover.
create or replace function compared_slices(
    p_devices integer[],
    p_from timestamptz,
    p_to timestamptz,
    p_rolled_up timestamptz default rolled_up_until(),
    p_energy_only boolean default false
)
returns table (
    bucket timestamptz,
    vehicle integer,
    meter integer,
    dc_mwh bigint,
    ac_mwh bigint,
    compared_dc_mwh bigint,
    compared_ac_mwh bigint,
    compared_ms bigint,
    charging_ms bigint,
    charging_compared_ms bigint,
    covered_dc_ms bigint,
    covered_ac_ms double precision,
    readings bigint,
    resets bigint,
    soc_bp_min smallint,
    soc_bp_max smallint,
    battery_temp_cdeg_count bigint,
    battery_temp_cdeg_sum bigint,
    battery_temp_cdeg_max smallint,
    voltage_mv_count bigint,
    voltage_mv_sum bigint,
    voltage_mv_min integer,
    voltage_mv_max integer
)
language sql
stable
begin atomic
    with slices as materialized (
        select
            e.bucket, e.vehicle, e.meter, e.dc_mwh, e.ac_mwh, e.is_common, e.covered_dc_ms, e.covered_ac_ms,
            case when e.vehicle is null then e.covered_ac_ms::bigint else e.covered_dc_ms end as own_covered_ms,
            e.charging_ms, e.readings, e.resets, e.soc_bp_min, e.soc_bp_max, e.battery_temp_cdeg_count,
            e.battery_temp_cdeg_sum, e.battery_temp_cdeg_max, e.voltage_mv_count, e.voltage_mv_sum, e.voltage_mv_min,
            e.voltage_mv_max
        from accounting as a
        cross join lateral energy_slices(
            p_devices, p_from, p_to, interval '15 minutes', a.least_match, p_rolled_up, p_energy_only
        ) as e
    ),
    partly as (
        select array_agg(s.bucket) as buckets, array_agg(s.meter) as meters, array_agg(s.vehicle) as vehicles
        from slices as s
        where not s.is_common
            and s.vehicle is not null
            -- a meter that shows charging beside no vehicle: how long in the quarter hour
            or s.is_common is null
                and s.vehicle is null
                and s.charging_ms > 0
                and s.covered_ac_ms > 0
                and exists (select from meter_vehicles as v where v.meter = s.meter)
    )
    select
        s.bucket,
        s.vehicle,
        s.meter,
        s.dc_mwh,
        s.ac_mwh,
        case when s.is_common then s.dc_mwh else c.dc_mwh end,
        case when s.is_common then s.ac_mwh else c.ac_mwh end,
        case when s.is_common then s.own_covered_ms else coalesce(c.common_ms, 0) end,
        case when s.is_common then s.charging_ms else coalesce(c.charging_ms, s.charging_ms) end,
        case
            when s.is_common is not true then coalesce(c.charging_common_ms, 0)
            when s.charging_ms > 0 then s.own_covered_ms
            else 0
        end,
        s.covered_dc_ms, s.covered_ac_ms, s.readings, s.resets, s.soc_bp_min, s.soc_bp_max, s.battery_temp_cdeg_count,
        s.battery_temp_cdeg_sum, s.battery_temp_cdeg_max, s.voltage_mv_count, s.voltage_mv_sum, s.voltage_mv_min,
        s.voltage_mv_max
    from slices as s
    left join (
        select f.*
        from partly as p
        cross join lateral common_energy(p.buckets, p.meters, p.vehicles, p_from, p_to) as f
    ) as c
        on s.is_common is not true
        and c.bucket = s.bucket
        and c.meter = s.meter
        and c.device = coalesce(s.vehicle, s.meter);
end;

-- The same for every vehicle as a relation, apportioned by quarter hour and added up by hour of UTC; the efficiency
-- views read it. Partitioned by the rollup's bucket column, so that a bound on the hour also bounds the quarter hours.
create or replace view vehicle_energy_hourly as
select
    hour_of(e.bucket) as bucket,
    e.vehicle_id,
    e.meter_id,
    sum(e.dc_mwh)::bigint as dc_mwh,
    sum(e.ac_mwh)::bigint as ac_mwh,
    sum(case when e.is_common then e.dc_mwh else c.dc_mwh end)::bigint as compared_dc_mwh,
    sum(case when e.is_common then e.ac_mwh else c.ac_mwh end)::bigint as compared_ac_mwh,
    sum(e.readings)::bigint as readings,
    sum(e.resets)::bigint as resets,
    min(e.soc_bp_min) as soc_bp_min,
    max(e.soc_bp_max) as soc_bp_max,
    sum(e.battery_temp_cdeg_count)::bigint as battery_temp_cdeg_count,
    sum(e.battery_temp_cdeg_sum)::bigint as battery_temp_cdeg_sum,
    max(e.battery_temp_cdeg_max) as battery_temp_cdeg_max
from (
    select
        s.*,
        m.id as meter_id,
        apportion(s.meter_mwh, (s.running_mwh - s.dc_mwh)::bigint, s.dc_mwh, s.total_mwh::bigint) as ac_mwh,
        case
            when s.meter_covered_ms > 0 and s.most_covered_ms > 0 and s.meter is not null
                then least(s.meter_covered_ms, s.most_covered_ms)
                    >= elapsed_ms(quarter_of(s.bucket), quarter_of(s.bucket) + interval '15 minutes')
                        * (1 + s.least_match) / 2
        end as is_common
    from (
        select
            r.*,
            max(r.energy_mwh) filter (where r.vehicle_id is null) over meter as meter_mwh,
            sum(r.dc_mwh) over meter as total_mwh,
            sum(r.dc_mwh) over (meter order by r.vehicle_id) as running_mwh,
            max(r.device_covered_ms) filter (where r.vehicle_id is null) over meter as meter_covered_ms,
            max(r.device_covered_ms) filter (where r.vehicle_id is not null) over meter as most_covered_ms
        from (
            select
                q.*,
                case when d.kind = 'vehicle' then d.id end as vehicle_id,
                case
                    when d.kind = 'meter' then q.device
                    when q.at_meter = any(array(select n.device from no_chargers() as n)) then null
                    else q.at_meter
                end as meter,
                case when d.kind = 'vehicle' then q.energy_mwh end as dc_mwh,
                sum(q.covered_ms) over (partition by q.bucket, q.device)::bigint as device_covered_ms,
                a.least_match
            from (
                select
                    u.bucket,
                    u.device,
                    u.meter as at_meter,
                    sum(u.readings)::bigint as readings,
                    sum(u.resets)::bigint as resets,
                    sum(u.energy_mwh)::bigint as energy_mwh,
                    sum(u.covered_ms)::bigint as covered_ms,
                    -- each rollup of vehicle, last: {of_rollup} as {name},
                    min(soc_bp_min) as soc_bp_min, max(soc_bp_max) as soc_bp_max,
                    sum(battery_temp_cdeg_count)::bigint as battery_temp_cdeg_count,
                    sum(battery_temp_cdeg_sum)::bigint as battery_temp_cdeg_sum,
                    min(battery_temp_cdeg_min) as battery_temp_cdeg_min,
                    max(battery_temp_cdeg_max) as battery_temp_cdeg_max, sum(power_w_count)::bigint as power_w_count,
                    sum(power_w_sum)::bigint as power_w_sum, min(power_w_min) as power_w_min,
                    max(power_w_max) as power_w_max
                    -- end
                from (
                    select *
                    from quarter_hourly
                    union all
                    select *
                    from spread_quarters
                ) as u
                group by 1, 2, 3
            ) as q
            join devices as d
                on d.device = q.device
            cross join accounting as a
        ) as r
        window meter as (partition by r.bucket, r.meter)
    ) as s
    left join devices as m
        on m.device = s.meter
    where s.vehicle_id is not null
) as e
-- not called with a null, and so for few
left join lateral common_energy_at(case when not e.is_common then quarter_of(e.bucket) end, e.meter) as c
    on c.device = e.device
group by 1, 2, 3;

-- For people and Grafana: kWh, %, °C. A row per vehicle, meter and hour; without a meter, or when
-- the meter reported nothing, the AC side is null. Loss and ratio are of the time that both sides cover;
-- a ratio over several rows is the sum of their compared DC by that of their compared AC.
create or replace view efficiency_hourly as
select
    e.bucket,
    e.vehicle_id,
    e.meter_id,
    e.readings,
    e.dc_mwh / 1e6::float8 as energy_delivered_dc_kwh,
    e.ac_mwh / 1e6::float8 as energy_consumed_ac_kwh,
    e.compared_dc_mwh / 1e6::float8 as compared_dc_kwh,
    e.compared_ac_mwh / 1e6::float8 as compared_ac_kwh,
    (e.compared_ac_mwh - e.compared_dc_mwh) / 1e6::float8 as energy_loss_kwh,
    e.compared_dc_mwh::float8 / nullif(e.compared_ac_mwh, 0) as efficiency_ratio,
    e.soc_bp_min / 100.0::float8 as min_soc_percent,
    e.soc_bp_max / 100.0::float8 as max_soc_percent,
    e.battery_temp_cdeg_sum / (100.0::float8 * nullif(e.battery_temp_cdeg_count, 0)) as avg_battery_temp_c,
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
    d.battery_temp_cdeg_sum / (100.0::float8 * nullif(d.battery_temp_cdeg_count, 0)) as avg_battery_temp_c,
    d.battery_temp_cdeg_max / 100.0::float8 as max_battery_temp_c
from (
    select
        date_bin('1 day', e.bucket, '2000-01-01 00:00:00+00') as bucket,
        e.vehicle_id,
        e.meter_id,
        sum(e.readings)::bigint as readings,
        sum(e.dc_mwh)::bigint as dc_mwh,
        sum(e.ac_mwh)::bigint as ac_mwh,
        sum(e.compared_dc_mwh)::bigint as compared_dc_mwh,
        sum(e.compared_ac_mwh)::bigint as compared_ac_mwh,
        min(e.soc_bp_min) as soc_bp_min,
        max(e.soc_bp_max) as soc_bp_max,
        sum(e.battery_temp_cdeg_count)::bigint as battery_temp_cdeg_count,
        sum(e.battery_temp_cdeg_sum)::bigint as battery_temp_cdeg_sum,
        max(e.battery_temp_cdeg_max) as battery_temp_cdeg_max
    from vehicle_energy_hourly as e
    group by 1, 2, 3
) as d;
