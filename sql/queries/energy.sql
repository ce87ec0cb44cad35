-- Energy answers. They add up hours that are accounted for, where they are about a vehicle or the fleet; the rest is
-- slices: rollups for whole quarter hours, history for the two that a window cuts.

-- name: vehicle_energy(vehicle_id, bounds, limit)
-- Sums of one vehicle between neighbouring bounds, oldest first; buckets without readings are left out.
select *
from vehicle_energy(:vehicle_id, :bounds)
limit :limit

-- name: meters_energy(meter_ids, bounds, limit)
-- Sums of some meters together between neighbouring bounds, oldest first.
select *
from meters_energy(:meter_ids, :bounds)
limit :limit

-- name: site_meters(site)$
-- The chargers' meters of a site (index on site); null: there are none.
select array_agg(id order by id)
from devices
where site = :site
    and kind = 'meter'
    and coalesce(role, 'charger') = 'charger'

-- name: meter_shares(meter_id, bounds, after, limit)
-- Who got what of one meter's AC, in the order of vehicle ids.
select *
from meter_shares(:meter_id, :bounds)
where vehicle_id > :after
order by vehicle_id
limit :limit

-- name: sessions(vehicle_id, start, end, limit)
-- Charging sessions of one vehicle that begin in a window, newest first, with their share of AC.
select
    s.*,
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
    e.meter_ids
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

-- name: fleet_energy(bounds, limit)
-- Sums of the whole fleet between neighbouring bounds, oldest first; buckets without readings are left out.
select *
from fleet_sums(:bounds)
limit :limit

-- name: fleet(start, end, after_site, sites, sort, descending, after_value, after_id, vehicles)^
-- The fleet over one window: totals, a page of sites and a page of ranked vehicles, each as JSON. May be
-- null: after_site, after_value, after_id.
select totals, sites, vehicles
from fleet_report(:start, :end, :after_site, :sites, :sort, :descending, :after_value, :after_id, :vehicles)
