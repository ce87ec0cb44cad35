-- What each connection needs before its first batch.

-- name: prepare_session()#
-- The temporary tables that a batch is copied into; emptied by every commit.
create temporary table if not exists incoming_vehicle_readings (
    part integer not null,
    vehicle_id text collate "C" not null,
    time timestamptz not null,
    energy_mwh integer not null,
    soc_bp smallint not null,
    battery_temp_cdeg smallint not null,
    meter_id text collate "C",
    meter_declared boolean not null
) on commit delete rows;
create temporary table if not exists incoming_meter_readings (
    part integer not null,
    meter_id text collate "C" not null,
    time timestamptz not null,
    energy_mwh integer not null,
    voltage_mv integer not null
) on commit delete rows;
