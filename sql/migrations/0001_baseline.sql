-- Every table of FleetMeter, the same on both engines.
--
-- Values are fixed-point integers and a name carries its unit: mwh is milliwatt-hours
-- (kWh × 1,000,000), bp basis points (% × 100), cdeg hundredths of a degree Celsius, mv millivolts.
-- Ids are ASCII and compare byte by byte, so that every key has one order everywhere.
--
-- What a reading measures is described in src/fleetmeter/readings/kinds.py; a measurement that is added there comes
-- with a migration of its own.

-- The mean of the values that there are; rollups go by it.
create function mean_of(p_first integer, p_second integer, p_third integer)
returns integer
language sql
immutable
parallel safe
return (coalesce(p_first, 0) + coalesce(p_second, 0) + coalesce(p_third, 0))
    / nullif(num_nonnulls(p_first, p_second, p_third), 0);

-- Every device that has been named: by a reading, an assignment or a setting. The number is the database's own; all
-- other tables are keyed by it. What is set for the device stands beside it.
create table devices (
    device integer generated always as identity primary key,
    kind text not null check (kind in ('vehicle', 'meter')),
    id text collate "C" not null,
    label text,
    site text collate "C",
    -- How often it is expected to report; null: as accounting says.
    reporting_interval_s integer,
    -- That changed, and not all of its readings have been derived again: from this time on they have not.
    derive_since timestamptz,
    -- Some of its readings say when their interval began, so that intervals may overlap.
    says_starts boolean not null default false,
    -- Whose days its daily series has when a request does not say; null: UTC.
    time_zone text,
    -- Where its register turns over to zero; null: it does not.
    register_rollover_mwh bigint,
    battery_capacity_wh bigint,
    rated_power_w bigint,
    -- What a meter meters; null: a charger. Only chargers are shared out to vehicles.
    role text check (role in ('charger', 'site', 'solar', 'storage', 'other')),
    unique (kind, id)
);

create index devices_that_are_no_chargers
    on devices (device)
    where role <> 'charger';

create index devices_to_derive
    on devices (device)
    where derive_since is not null;

create index devices_by_site
    on devices (site)
    where site is not null;

-- History: every reading once. The primary key is the only index: each further one would be paid for by every
-- reading that comes in.
create table readings (
    device integer not null,
    -- The meter that a vehicle charged from, and whether the reading named it itself. What an assignment
    -- stamped follows the assignment; what the reading declared stays.
    meter integer,
    -- The end of the interval that its energy belongs to, as the device stamped it.
    time timestamptz not null,
    -- Null: the reading gave no energy.
    energy_mwh bigint,
    -- What a register showed; null for interval energy. Its energy is derived from the reading before.
    register_mwh bigint,
    -- How long the interval is; null: there is none, as of a register's first reading.
    span_ms bigint,
    -- When the interval began, where the reading says so itself.
    interval_start timestamptz,
    meter_declared boolean not null default false,
    reset boolean not null default false,
    -- Its energy stands in spread_energy: the interval crosses a quarter hour, or it said itself when it began.
    spread boolean not null default false,
    soc_bp smallint,
    battery_temp_cdeg smallint,
    power_w integer,
    -- Energy in the other direction: returned by a vehicle, exported through a meter; of an interval, or a register.
    reverse_mwh bigint,
    reverse_register_mwh bigint,
    voltage_mv integer,
    voltage_l1_mv integer,
    voltage_l2_mv integer,
    voltage_l3_mv integer,
    primary key (device, time)
);

-- The energy of intervals that do not lie within one quarter hour, in pieces that do. What belongs to a quarter hour is
-- what the rollup has of it, and these. As in the rollups, bucket is the first microsecond of a quarter hour: an interval
-- is open where it begins and closed where it ends, so that a reading stamped 11:00 belongs to the quarter before.
create table spread_energy (
    device integer not null,
    meter integer,
    bucket timestamptz not null,
    -- Where the piece begins, and when its reading is stamped: it ends there, or with the quarter hour.
    starts timestamptz not null,
    ends timestamptz not null,
    energy_mwh bigint not null,
    -- How much of the piece no other interval covers.
    covered_ms bigint not null,
    primary key (device, bucket, ends)
);

create index spread_energy_by_time
    on spread_energy (bucket);

-- Live state: when each device reported last, and the newest that is known of energy and of each measurement, with its
-- time: what the newest reading did not have is older. Rows are overwritten every minute, so pages keep room for the
-- next version and the only index is on what never changes.
create table live_state (
    device integer primary key,
    meter integer,
    time timestamptz not null,
    -- The newest reading with energy.
    energy_at timestamptz,
    energy_mwh bigint,
    register_mwh bigint,
    span_ms bigint,
    interval_start timestamptz,
    meter_declared boolean not null default false,
    reset boolean not null default false,
    spread boolean not null default false,
    soc_bp smallint,
    battery_temp_cdeg smallint,
    power_w integer,
    reverse_mwh bigint,
    reverse_register_mwh bigint,
    voltage_mv integer,
    voltage_l1_mv integer,
    voltage_l2_mv integer,
    voltage_l3_mv integer,
    soc_bp_at timestamptz,
    battery_temp_cdeg_at timestamptz,
    power_w_at timestamptz,
    reverse_mwh_at timestamptz,
    reverse_register_mwh_at timestamptz,
    voltage_mv_at timestamptz,
    voltage_l1_mv_at timestamptz,
    voltage_l2_mv_at timestamptz,
    voltage_l3_mv_at timestamptz,
    last_seen timestamptz not null,
    -- When it was taken out of live state and lists; null: it is there. A newer reading brings it back.
    removed_at timestamptz
) with (fillfactor = 70);

-- The version of a reading that a correction replaced: as it stood in history, with who replaced it, when and why.
-- The first has number 1; the one in force stands in history.
create table replaced_readings (
    version integer not null,
    replaced_at timestamptz not null default now(),
    replaced_by text not null,
    reason text not null,
    like readings including defaults,
    primary key (device, time, version)
);

-- "From this time on, the vehicle charges at this meter" (null: at none), until the next row.
create table assignments (
    vehicle integer not null,
    since timestamptz not null,
    meter integer,
    created_at timestamptz not null default now(),
    -- When the readings it concerns had been stamped with it; null while that is still to do.
    restamped_at timestamptz,
    primary key (vehicle, since)
);

create index assignments_to_restamp
    on assignments (created_at)
    where restamped_at is null;

-- An assignment that another one replaced, beginning at the same time.
create table replaced_assignments (
    vehicle integer not null,
    since timestamptz not null,
    meter integer,
    created_at timestamptz not null,
    replaced_at timestamptz not null default now()
);

create index replaced_assignments_by_vehicle
    on replaced_assignments (vehicle);

-- Which vehicles have ever charged from a meter: the way from a meter to its vehicles' readings
-- without an index over history. A pair too many costs a lookup; a missing one would be a wrong share.
create table meter_vehicles (
    meter integer not null,
    vehicle integer not null,
    primary key (meter, vehicle)
);

create index meter_vehicles_by_vehicle
    on meter_vehicles (vehicle);

-- Counts the changes of assignments, and the devices that were purged, so that a service knows in one look whether
-- what it remembers is still true. One row.
create table versions (
    one_row boolean primary key default true check (one_row),
    assignments bigint not null default 0,
    devices bigint not null default 0
);

insert into versions
default values;

-- Hours whose history changed when they may already have been rolled up. A row is written in the
-- transaction of the change and removed once the rollups have followed.
create table late_hours (
    id bigint generated always as identity primary key,
    hour timestamptz not null
);

-- Devices whose history changed in hours that may have been evaluated: they are evaluated again from there. Written in
-- the transaction of the change; can be used once no hour in late_hours up to this id waits to be rolled up.
create table late_devices (
    id bigint generated always as identity primary key,
    device integer not null,
    since timestamptz not null,
    late_hours_until bigint not null
);

-- From when on every reading is still in history. Rollups go back further; to refresh one from
-- before this time would replace it by what little is left. One row.
create table kept_history (
    one_row boolean primary key default true check (one_row),
    since timestamptz not null default '0001-01-01 00:00:00+00'
);

insert into kept_history
default values;

-- How long history is kept, one row; configure_retention() sets it from the settings of the service. Policies over
-- days cannot be shorter than four: late readings and refreshes need what they reach back to.
create table retention (
    one_row boolean primary key default true check (one_row),
    days integer not null default 400 check (days >= 4),
    -- What the service did about it last, where the database has no policies of its own.
    ran_at timestamptz,
    took interval,
    readings bigint
);

insert into retention
default values;

-- What energy accounting goes by, of the whole fleet, one row; configure_accounting() sets it from the settings of the
-- service.
create table accounting (
    one_row boolean primary key default true check (one_row),
    reporting_interval_s integer not null default 60,
    -- Both sides of a quarter hour can be compared when the shorter covers at least this part of the longer.
    least_match double precision not null default 0.9,
    -- Without energy for longer than this, a charging session is over.
    session_gap_s integer not null default 900
);

insert into accounting
default values;

-- The energy of hours that are rolled up, shared out (energy_slices()): what the fleet's answers add up. An hour
-- counts as long as it stands in accounted_hours; it is struck out there when its history or a setting
-- changes, and shared out again.
create table accounted_energy (
    hour timestamptz not null,
    vehicle integer,
    meter integer,
    comparable boolean not null,
    dc_mwh bigint,
    ac_mwh bigint,
    readings integer not null,
    resets integer not null,
    -- Quarter hours with energy.
    quarters integer not null,
    covered_dc_ms bigint not null,
    covered_ac_ms double precision not null,
    -- Of the meter itself, in one of its rows; in one without a vehicle when nobody was there.
    unattributed_mwh bigint,
    meter_readings integer not null,
    meter_covered_dc_ms bigint not null,
    meter_covered_ac_ms bigint not null
);

create table accounted_hours (
    hour timestamptz primary key
);

-- Tells this database from others: an import that was interrupted goes on only where it began.
create table installation (
    one_row boolean primary key default true check (one_row),
    id uuid not null default gen_random_uuid()
);

insert into installation
default values;
