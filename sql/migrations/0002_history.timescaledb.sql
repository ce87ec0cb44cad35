-- History as hypertables of one-day chunks, old chunks in the columnstore, and the rollups as
-- continuous aggregates. What depends on a setting (how long history is kept) is configured by
-- configure_retention() on every migrate.

select create_hypertable('vehicle_readings', by_range('time', interval '1 day'), create_default_indexes => false);
select create_hypertable('meter_readings', by_range('time', interval '1 day'), create_default_indexes => false);

alter table vehicle_readings set (
    timescaledb.enable_columnstore,
    timescaledb.segmentby = 'vehicle_id',
    timescaledb.orderby = 'time'
);
alter table meter_readings set (
    timescaledb.enable_columnstore,
    timescaledb.segmentby = 'meter_id',
    timescaledb.orderby = 'time'
);
call add_columnstore_policy('vehicle_readings', after => interval '7 days');
call add_columnstore_policy('meter_readings', after => interval '7 days');

-- Rollups keep sums and counts, never averages, so that any of them can be added up exactly.
create materialized view vehicle_hourly
with (timescaledb.continuous, timescaledb.materialized_only = false) as
select
    time_bucket(interval '1 hour', time) as bucket,
    vehicle_id,
    meter_id,
    count(*) as readings,
    sum(energy_mwh) as energy_mwh,
    min(soc_bp) as soc_bp_min,
    max(soc_bp) as soc_bp_max,
    sum(battery_temp_cdeg) as battery_temp_cdeg_sum,
    min(battery_temp_cdeg) as battery_temp_cdeg_min,
    max(battery_temp_cdeg) as battery_temp_cdeg_max
from vehicle_readings
group by 1, 2, 3
with no data;

create materialized view vehicle_daily
with (timescaledb.continuous, timescaledb.materialized_only = false) as
select
    time_bucket(interval '1 day', bucket) as bucket,
    vehicle_id,
    meter_id,
    sum(readings)::bigint as readings,
    sum(energy_mwh)::bigint as energy_mwh,
    min(soc_bp_min) as soc_bp_min,
    max(soc_bp_max) as soc_bp_max,
    sum(battery_temp_cdeg_sum)::bigint as battery_temp_cdeg_sum,
    min(battery_temp_cdeg_min) as battery_temp_cdeg_min,
    max(battery_temp_cdeg_max) as battery_temp_cdeg_max
from vehicle_hourly
group by 1, 2, 3
with no data;

create materialized view meter_hourly
with (timescaledb.continuous, timescaledb.materialized_only = false) as
select
    time_bucket(interval '1 hour', time) as bucket,
    meter_id,
    count(*) as readings,
    sum(energy_mwh) as energy_mwh,
    sum(voltage_mv) as voltage_mv_sum,
    min(voltage_mv) as voltage_mv_min,
    max(voltage_mv) as voltage_mv_max
from meter_readings
group by 1, 2
with no data;

create materialized view meter_daily
with (timescaledb.continuous, timescaledb.materialized_only = false) as
select
    time_bucket(interval '1 day', bucket) as bucket,
    meter_id,
    sum(readings)::bigint as readings,
    sum(energy_mwh)::bigint as energy_mwh,
    sum(voltage_mv_sum)::bigint as voltage_mv_sum,
    min(voltage_mv_min) as voltage_mv_min,
    max(voltage_mv_max) as voltage_mv_max
from meter_hourly
group by 1, 2
with no data;
