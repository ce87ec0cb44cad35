-- What is kept of the fleet's hours answers for single vehicles, too, whose answers have more columns: they are all
-- shared out again.
truncate accounted_hours, accounted_energy;
alter table accounted_energy
    -- Of the vehicle, and of its meter in quarter hours in which it has a part of what that metered; null: none.
    add column vehicle_resets integer,
    add column soc_bp_min smallint,
    add column soc_bp_max smallint,
    add column battery_temp_cdeg_count integer,
    add column battery_temp_cdeg_sum bigint,
    add column battery_temp_cdeg_max smallint;

-- Rows of a vehicle, and those of a meter beside nobody.
create index accounted_energy_by_device
    on accounted_energy (coalesce(vehicle, meter), hour);

-- routines that have another argument now are made again
drop function if exists slices_of_history, slices, energy_slices, compared_slices cascade;
