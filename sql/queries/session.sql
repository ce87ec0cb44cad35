-- What each connection needs before its first batch.

-- name: prepare_session()#
-- The temporary tables that a batch is copied into; emptied by every commit. Energy is as it was sent: of an
-- interval, or what a register shows, which register_timeline puts between the readings around it.
create temporary table if not exists incoming_vehicle_readings (
    part integer not null,
    vehicle_id text collate "C" not null,
    time timestamptz not null,
    energy_mwh bigint not null,
    soc_bp smallint not null,
    battery_temp_cdeg smallint not null,
    meter_id text collate "C",
    meter_declared boolean not null
) on commit delete rows;
create temporary table if not exists incoming_meter_readings (
    part integer not null,
    meter_id text collate "C" not null,
    time timestamptz not null,
    energy_mwh bigint not null,
    voltage_mv integer not null
) on commit delete rows;
create temporary table if not exists register_timeline (
    device_id text collate "C" not null,
    time timestamptz not null,
    register_mwh bigint not null,
    rollover_mwh bigint,
    is_new boolean not null,
    is_newest boolean not null default false
) on commit delete rows;
