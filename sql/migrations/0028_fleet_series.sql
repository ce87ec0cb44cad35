-- They are made again with a further argument (32_fleet.sql).
drop function if exists fleet_energy cascade;
drop function if exists fleet_energy_within cascade;
drop function if exists accounted_fleet cascade;
