-- History keeps what a register showed beside the interval energy that was derived from it. A continuous
-- aggregate cannot follow a column to another type, so the rollups are made anew, and rolled up again
-- from history by their policies, which configure_retention() adds when it finds none.

drop view if exists efficiency_daily, efficiency_hourly, vehicle_energy_hourly;
drop function if exists vehicle_energy(text, timestamptz, timestamptz);
drop function if exists vehicle_slices(text[], timestamptz, timestamptz);
drop function if exists meter_slices(text[], timestamptz, timestamptz);
select remove_retention_policy('vehicle_readings', if_exists => true);
select remove_retention_policy('meter_readings', if_exists => true);
drop materialized view vehicle_daily;
drop materialized view vehicle_hourly;
drop materialized view meter_daily;
drop materialized view meter_hourly;

-- A column of the columnstore cannot change its type either.
call remove_columnstore_policy('vehicle_readings');
call remove_columnstore_policy('meter_readings');
select decompress_chunk(c, if_compressed => true) from show_chunks('vehicle_readings') as c;
select decompress_chunk(c, if_compressed => true) from show_chunks('meter_readings') as c;
alter table vehicle_readings set (timescaledb.enable_columnstore = false);
alter table meter_readings set (timescaledb.enable_columnstore = false);

alter table vehicle_readings alter column energy_mwh type bigint;
alter table vehicle_readings add column register_mwh bigint;
alter table vehicle_readings add column span_ms bigint;
alter table vehicle_readings add column reset boolean not null default false;
alter table meter_readings alter column energy_mwh type bigint;
alter table meter_readings add column register_mwh bigint;
alter table meter_readings add column span_ms bigint;
alter table meter_readings add column reset boolean not null default false;

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

-- Sums and counts, never averages. A reading of interval energy covers its device's reporting
-- interval, one of a register the milliseconds since the register's reading before it.
create materialized view vehicle_hourly
with (timescaledb.continuous, timescaledb.materialized_only = false) as
select
    time_bucket(interval '1 hour', time) as bucket,
    vehicle_id,
    meter_id,
    count(*) as readings,
    count(*) filter (where register_mwh is null) as interval_readings,
    coalesce(sum(span_ms), 0)::bigint as span_ms,
    count(*) filter (where reset) as resets,
    sum(energy_mwh)::bigint as energy_mwh,
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
    sum(interval_readings)::bigint as interval_readings,
    sum(span_ms)::bigint as span_ms,
    sum(resets)::bigint as resets,
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
    count(*) filter (where register_mwh is null) as interval_readings,
    coalesce(sum(span_ms), 0)::bigint as span_ms,
    count(*) filter (where reset) as resets,
    sum(energy_mwh)::bigint as energy_mwh,
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
    sum(interval_readings)::bigint as interval_readings,
    sum(span_ms)::bigint as span_ms,
    sum(resets)::bigint as resets,
    sum(energy_mwh)::bigint as energy_mwh,
    sum(voltage_mv_sum)::bigint as voltage_mv_sum,
    min(voltage_mv_min) as voltage_mv_min,
    max(voltage_mv_max) as voltage_mv_max
from meter_hourly
group by 1, 2
with no data;

select create_hypertable('accounted_energy', by_range('hour', interval '1 day'));
