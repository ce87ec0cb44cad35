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

drop function if exists register_events_of, peaks;

-- Which registers fell in an hour: register_falls(). Of readings, those far below the highest value alone are indexed.
create index register_events_by_time
    on register_events (coalesce(until, time));
create index readings_far_below
    on readings (time)
    where highest_mwh - register_mwh > 1000000 or reverse_highest_mwh - reverse_register_mwh > 1000000;
