-- Every table of FleetMeter, the same on both engines.
--
-- Values are fixed-point integers and a name carries its unit: mwh is milliwatt-hours
-- (kWh × 1,000,000), bp basis points (% × 100), cdeg hundredths of a degree Celsius, mv millivolts.
-- Device ids are ASCII and compare byte by byte, so that every key has one order everywhere.

-- History, DC side: every reading once. The primary key is the only index: each further one
-- would be paid for by every reading that comes in.
create table vehicle_readings (
    vehicle_id text collate "C" not null,
    time timestamptz not null,
    energy_mwh integer not null,
    soc_bp smallint not null,
    battery_temp_cdeg smallint not null,
    -- The meter that the vehicle charged from, and whether the reading named it itself.
    -- What an assignment stamped follows the assignment; what the reading declared stays.
    meter_id text collate "C",
    meter_declared boolean not null,
    primary key (vehicle_id, time)
);

-- History, AC side.
create table meter_readings (
    meter_id text collate "C" not null,
    time timestamptz not null,
    energy_mwh integer not null,
    voltage_mv integer not null,
    primary key (meter_id, time)
);

-- Live state: the newest reading of each device. Rows are overwritten every minute, so pages
-- keep room for the next version and the only index is on what never changes.
create table vehicle_state (
    vehicle_id text collate "C" primary key,
    time timestamptz not null,
    energy_mwh integer not null,
    soc_bp smallint not null,
    battery_temp_cdeg smallint not null,
    meter_id text collate "C",
    meter_declared boolean not null,
    last_seen timestamptz not null
) with (fillfactor = 70);

create table meter_state (
    meter_id text collate "C" primary key,
    time timestamptz not null,
    energy_mwh integer not null,
    voltage_mv integer not null,
    last_seen timestamptz not null
) with (fillfactor = 70);

-- "From this time on, the vehicle charges at this meter" (null: at none), until the next row.
create table meter_assignments (
    vehicle_id text collate "C" not null,
    since timestamptz not null,
    meter_id text collate "C",
    created_at timestamptz not null default now(),
    -- When the readings it concerns had been stamped with it; null while that is still to do.
    restamped_at timestamptz,
    primary key (vehicle_id, since)
);

create index meter_assignments_to_restamp
    on meter_assignments (created_at)
    where restamped_at is null;

-- Which vehicles have ever charged from a meter: the way from a meter to its vehicles' readings
-- without an index over history. A pair too many costs a lookup; a missing one would be a wrong share.
create table meter_vehicles (
    meter_id text collate "C" not null,
    vehicle_id text collate "C" not null,
    primary key (meter_id, vehicle_id)
);

-- Hours whose history changed when they may already have been rolled up. A row is written in the
-- transaction of the change and removed once the rollups have followed.
create table late_hours (
    id bigint generated always as identity primary key,
    source text not null check (source in ('vehicle_readings', 'meter_readings')),
    hour timestamptz not null
);

-- Counts the changes of assignments, so that a service knows in one look whether what it remembers
-- of them is still true.
create table assignment_version (
    version bigint not null
);

insert into assignment_version (version)
values (0);

-- From when on every reading is still in history. Rollups go back further; to refresh one from
-- before this time would replace it by what little is left.
create table kept_history (
    source text primary key,
    since timestamptz not null
);

insert into kept_history (source, since)
values
    ('vehicle_readings', '0001-01-01 00:00:00+00'),
    ('meter_readings', '0001-01-01 00:00:00+00');
