-- What is kept of the fleet's hours says how long vehicles charged, and how much of that both sides cover: they are all
-- shared out again.
truncate accounted_hours, accounted_energy;
alter table accounted_energy
    -- null: nobody charged
    add column charging_ms bigint,
    add column charging_compared_ms bigint,
    add column meter_charging_ms bigint,
    add column meter_charging_compared_ms bigint;

-- routines that have other columns now are made again
drop function if exists
    energy_slices, common_energy, compared_slices, vehicle_energy, meters_energy, fleet_energy, fleet_sums cascade;
