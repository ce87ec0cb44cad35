-- What a history that lasts needs: the versions that corrections replaced, devices that have left, and how long
-- readings are kept.

-- The version of a reading that a correction replaced: as it stood in history, with who replaced it, when and why.
-- The first has number 1; the one in force stands in history.
create table replaced_vehicle_readings (
    vehicle_id text collate "C" not null,
    time timestamptz not null,
    version integer not null,
    energy_mwh bigint not null,
    soc_bp smallint not null,
    battery_temp_cdeg smallint not null,
    meter_id text collate "C",
    meter_declared boolean not null,
    register_mwh bigint,
    span_ms bigint,
    reset boolean not null,
    replaced_at timestamptz not null default now(),
    replaced_by text not null,
    reason text not null,
    primary key (vehicle_id, time, version)
);

create table replaced_meter_readings (
    meter_id text collate "C" not null,
    time timestamptz not null,
    version integer not null,
    energy_mwh bigint not null,
    voltage_mv integer not null,
    register_mwh bigint,
    span_ms bigint,
    reset boolean not null,
    replaced_at timestamptz not null default now(),
    replaced_by text not null,
    reason text not null,
    primary key (meter_id, time, version)
);

-- An assignment that another one replaced, beginning at the same time.
create table replaced_assignments (
    vehicle_id text collate "C" not null,
    since timestamptz not null,
    meter_id text collate "C",
    created_at timestamptz not null,
    replaced_at timestamptz not null default now()
);

create index replaced_assignments_by_vehicle
    on replaced_assignments (vehicle_id);

-- When a device was taken out of live state and lists; null: it is there. A newer reading brings it back.
alter table vehicle_state
    add column removed_at timestamptz;
alter table meter_state
    add column removed_at timestamptz;

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

-- Tells this database from others: an import that was interrupted goes on only where it began.
create table installation (
    one_row boolean primary key default true check (one_row),
    id uuid not null default gen_random_uuid()
);

insert into installation
default values;

-- They return which readings are in conflict with history, too.
drop function if exists store_vehicle_readings();
drop function if exists store_meter_readings();
drop function if exists store_vehicle_registers();
drop function if exists store_meter_registers();
