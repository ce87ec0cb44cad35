-- What is kept of the fleet's hours has what is left out of the comparison of DC and AC, since the other side does not
-- cover its time, instead of telling comparable quarter hours from others: they are all shared out again.
truncate accounted_hours, accounted_energy;
alter table accounted_energy
    drop column comparable,
    drop column quarters,
    -- of its energy and covered time; null: nothing is left out
    add column left_out_dc_mwh bigint,
    add column left_out_ac_mwh bigint,
    add column left_out_ms bigint,
    add column meter_left_out_ms bigint;

-- routines that have other columns now are made again
drop function if exists energy_slices, vehicle_energy, meters_energy, meter_shares, fleet_energy, fleet_sums cascade;

-- The charging sessions that readings say they belong to, a plug-in or a transaction: ids by number, since all readings
-- of a session have the same.
create table session_ids (
    session integer generated always as identity primary key,
    id text collate "C" not null unique
);
alter table readings
    add column session integer;
alter table live_state
    add column session integer,
    add column session_at timestamptz;
alter table replaced_readings
    add column session integer;

-- routines that list the columns of readings, or have other columns now, are made again
drop view if exists vehicle_readings, vehicle_state cascade;
drop function if exists append_readings, points, charging_sessions cascade;
