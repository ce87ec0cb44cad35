-- Energy answers. They add up hours that are accounted for, where they are about a vehicle or the fleet; the rest is
-- slices: rollups for whole quarter hours, history for the two that a window cuts.

-- name: vehicle_energy(vehicle_id, bounds, limit, reach_ids, reach_sites)
-- Sums of one vehicle between neighbouring bounds, oldest first; buckets without readings are left out. Of the meters
-- it was at, all are counted, and those within reach are named.
select
    e.starts, e.ends, e.dc_mwh, e.ac_mwh, e.compared_dc_mwh, e.compared_ac_mwh, e.readings,
    e.readings_without_meter, e.resets, e.covered_dc_s, e.covered_ac_s, e.compared_s, e.charging_s,
    e.charging_compared_s, e.dc_while_charging, e.ac_while_charging, e.expected_s, e.soc_bp_min, e.soc_bp_max,
    e.battery_temp_cdeg_count, e.battery_temp_cdeg_sum, e.battery_temp_cdeg_max,
    cardinality(e.meter_ids) as meters, meters_within_reach(e.meter_ids, :reach_ids, :reach_sites) as meter_ids
from vehicle_energy(:vehicle_id, :bounds) as e
limit :limit

-- name: meters_energy(meter_ids, bounds, limit)
-- Sums of some meters together between neighbouring bounds, oldest first.
select *
from meters_energy(:meter_ids, :bounds)
limit :limit

-- name: site_meters(site, reach_ids, reach_sites)$
-- The chargers' meters of a site that are within reach (index on site); null: there are none.
select array_agg(id order by id)
from devices
where site = :site
    and kind = 'meter'
    and coalesce(role, 'charger') = 'charger'
    and within_reach(id, site, :reach_ids, :reach_sites)

-- name: meter_shares(meter_id, bounds, after, limit, reach_ids, reach_sites)
-- Which vehicles within reach got what of one meter's AC, in the order of their ids.
select *
from meter_shares(:meter_id, :bounds)
where vehicle_id > :after
    and subject_within_reach('vehicle', vehicle_id, :reach_ids, :reach_sites)
order by vehicle_id
limit :limit

-- name: sessions(vehicle_id, start, end, limit, reach_ids, reach_sites)
-- Charging sessions of one vehicle that begin in a window, newest first, with their share of AC. Of the meters it was
-- at, all are counted, and those within reach are named.
select
    s.begins, s.finishes, s.session_id, s.register_from_mwh, s.register_to_mwh, s.soc_bp_from, s.soc_bp_to,
    s.battery_temp_cdeg_max, s.peak_mw, s.is_open,
    case when subject_within_reach('meter', s.meter_id, :reach_ids, :reach_sites) then s.meter_id end as meter_id,
    e.dc_mwh + s.rested_mwh as dc_mwh,
    e.ac_mwh,
    e.compared_dc_mwh,
    e.compared_ac_mwh,
    e.readings,
    e.readings_without_meter,
    e.resets,
    e.covered_dc_s,
    e.covered_ac_s,
    e.compared_s,
    e.charging_s,
    e.charging_compared_s,
    e.dc_while_charging,
    e.ac_while_charging,
    e.expected_s,
    cardinality(e.meter_ids) as meters,
    meters_within_reach(e.meter_ids, :reach_ids, :reach_sites) as meter_ids
from (
    select *
    from charging_sessions(:vehicle_id, :start, :end)
    order by begins desc
    limit :limit
) as s
cross join lateral vehicle_energy(
    :vehicle_id,
    array[s.begins, s.finishes]
) as e
order by s.begins desc

-- name: fleet_energy(bounds, limit, reach_ids, reach_sites)
-- Sums of the devices within reach between neighbouring bounds, oldest first; buckets without readings are left out.
select *
from fleet_sums(:bounds, :reach_ids, :reach_sites)
limit :limit

-- name: fleet(start, end, after_site, sites, sort, reverse, after_value, after_id, vehicles, reach_ids, reach_sites)^
-- The devices within reach over one window: totals, a page of sites and a page of ranked vehicles, each as JSON. May be
-- null: after_site, after_value, after_id.
select totals, sites, vehicles
from fleet_report(
    :start, :end, :after_site, :sites, :sort, :reverse, :after_value, :after_id, :vehicles, :reach_ids, :reach_sites
)

-- name: site_supply(start, end, after_site, limit, reach_ids, reach_sites)
-- What meters within reach that are not chargers' metered, by site and role, for some sites in the order of their names
-- (devices, whole; of each meter its rollups and history by device and time). May be null: after_site.
select g.site, g.role, cardinality(g.ids) as meters, e.ac_mwh, e.covered_ac_s,
    elapsed_ms(:start, :end) / 1000.0::float8 * cardinality(g.ids) as expected_ac_s
from (
    select
        d.site,
        d.role,
        array_agg(d.id order by d.id) as ids,
        dense_rank() over (order by d.site nulls last) as place
    from devices as d
    where d.kind = 'meter'
        and d.role <> 'charger'
        and (:after_site::text is null or d.site > :after_site or d.site is null)
        and within_reach(d.id, d.site, :reach_ids, :reach_sites)
    group by 1, 2
) as g
left join lateral meters_energy(g.ids, array[:start, :end]::timestamptz[]) as e
    on true
where g.place <= :limit
order by g.site nulls last, g.role

-- name: load_meters(meter_id, site, roles, reach_ids, reach_sites)
-- The meters within reach whose load is asked for, with their roles and whether they are still expected to report
-- (devices, whole; live_state by its key). May be null: meter_id, site, roles.
select d.device, coalesce(d.role, 'charger') as role, s.removed_at is null as is_expected
from devices as d
left join live_state as s
    on s.device = d.device
where d.kind = 'meter'
    and (:meter_id::text is null or d.id = :meter_id)
    and (:site::text is null or d.site = :site)
    and (:roles::text[] is null or coalesce(d.role, 'charger') = any(:roles))
    and within_reach(d.id, d.site, :reach_ids, :reach_sites)

-- name: load_of_meters(meters, bounds)
-- What some meters metered together between neighbouring bounds, oldest first, and their highest quarter hours.
select starts, ends, ac_mwh, covered_ac_s, elapsed_s, peak_mwh, peak_at
from load_of_meters(:meters, :bounds)
