-- History keeps what a register showed beside the interval energy that was derived from it. The views
-- and routines that read the columns are made anew by the routines.

drop view if exists efficiency_daily, efficiency_hourly, vehicle_energy_hourly;
drop function if exists vehicle_energy(text, timestamptz, timestamptz);
drop function if exists vehicle_slices(text[], timestamptz, timestamptz);
drop function if exists meter_slices(text[], timestamptz, timestamptz);
drop view if exists vehicle_daily, vehicle_hourly, meter_daily, meter_hourly;

alter table vehicle_readings
    alter column energy_mwh type bigint,
    add column register_mwh bigint,
    add column span_ms bigint,
    add column reset boolean not null default false;
alter table meter_readings
    alter column energy_mwh type bigint,
    add column register_mwh bigint,
    add column span_ms bigint,
    add column reset boolean not null default false;
