-- The rollups of history that is not kept any more; those of the rest are views over it. Columns as of the
-- hourly rollups.

create table kept_vehicle_hours (
    bucket timestamptz not null,
    vehicle_id text collate "C" not null,
    meter_id text collate "C",
    readings bigint not null,
    interval_readings bigint not null,
    span_ms bigint not null,
    resets bigint not null,
    energy_mwh bigint not null,
    soc_bp_min smallint not null,
    soc_bp_max smallint not null,
    battery_temp_cdeg_sum bigint not null,
    battery_temp_cdeg_min smallint not null,
    battery_temp_cdeg_max smallint not null
);

create index kept_vehicle_hours_by_vehicle
    on kept_vehicle_hours (vehicle_id, bucket);
create index kept_vehicle_hours_by_time
    on kept_vehicle_hours (bucket);

create table kept_meter_hours (
    bucket timestamptz not null,
    meter_id text collate "C" not null,
    readings bigint not null,
    interval_readings bigint not null,
    span_ms bigint not null,
    resets bigint not null,
    energy_mwh bigint not null,
    voltage_mv_sum bigint not null,
    voltage_mv_min integer not null,
    voltage_mv_max integer not null
);

create index kept_meter_hours_by_meter
    on kept_meter_hours (meter_id, bucket);
create index kept_meter_hours_by_time
    on kept_meter_hours (bucket);
