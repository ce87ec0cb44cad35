-- What is known of a device beside its readings, what energy accounting goes by, and live state of
-- devices that send a register (an ever-growing total) instead of interval energy.

create table vehicle_settings (
    vehicle_id text collate "C" primary key,
    label text,
    site text collate "C",
    -- How often it is expected to report; null: as accounting says.
    reporting_interval_s integer,
    -- Whose days its daily series has when a request does not say; null: UTC.
    time_zone text,
    battery_capacity_wh bigint,
    -- Where its register turns over to zero; null: it does not.
    register_rollover_mwh bigint
);

create table meter_settings (
    meter_id text collate "C" primary key,
    label text,
    site text collate "C",
    reporting_interval_s integer,
    time_zone text,
    rated_power_w bigint,
    register_rollover_mwh bigint
);

create index meter_settings_by_site
    on meter_settings (site)
    where site is not null;

-- Of the whole fleet, one row; configure_accounting() sets it from the settings of the service.
create table accounting (
    one_row boolean primary key default true check (one_row),
    reporting_interval_s integer not null default 60,
    -- Both sides of an hour can be compared when the shorter covers at least this part of the longer.
    least_match double precision not null default 0.9,
    -- Without energy for longer than this, a charging session is over.
    session_gap_s integer not null default 900
);

insert into accounting
default values;

-- register_mwh is null for a device that sends interval energy; its energy is then what it sent. For
-- one that sends a register, energy_mwh is derived, over span_ms milliseconds (null: it has no energy yet).
alter table vehicle_state
    alter column energy_mwh type bigint,
    add column register_mwh bigint,
    add column span_ms bigint,
    add column reset boolean not null default false;
alter table meter_state
    alter column energy_mwh type bigint,
    add column register_mwh bigint,
    add column span_ms bigint,
    add column reset boolean not null default false;

-- The energy of hours that are rolled up, shared out (energy_slices()): what the fleet's answers add up. An hour
-- counts as long as it stands in accounted_hours; it is struck out there when its history or a setting
-- changes, and shared out again.
create table accounted_energy (
    hour timestamptz not null,
    vehicle_id text collate "C",
    meter_id text collate "C",
    comparable boolean not null,
    dc_mwh bigint,
    ac_mwh bigint,
    readings integer not null,
    resets integer not null,
    covered_dc_s integer not null,
    covered_ac_s real not null,
    -- Of the meter itself, in one of its rows; in one without a vehicle when nobody was there.
    unattributed_mwh bigint,
    meter_readings integer not null,
    meter_covered_dc_s integer not null,
    meter_covered_ac_s integer not null
);

create table accounted_hours (
    hour timestamptz primary key
);

-- The meters of a vehicle, as the primary key tells the vehicles of a meter.
create index meter_vehicles_by_vehicle
    on meter_vehicles (vehicle_id);

-- They return which devices were refused, too.
drop function if exists store_vehicle_readings();
drop function if exists store_meter_readings();
