-- The distance that a vehicle has driven.
alter table readings
    add column odometer_m bigint;
alter table live_state
    add column odometer_m bigint,
    add column odometer_m_at timestamptz;
alter table replaced_readings
    add column odometer_m bigint;

-- routines that list the columns of readings are made again, with it
drop view if exists vehicle_readings, vehicle_state cascade;
drop function if exists append_readings, points;
