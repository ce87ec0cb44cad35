-- History as a hypertable of one-day chunks, old chunks in the columnstore, and the rollups as
-- continuous aggregates: quarter hour, hour, day, each made from the one before. What depends on a setting (how long
-- history is kept) is configured by configure_retention() on every migrate.

select create_hypertable('readings', by_range('time', interval '1 day'), create_default_indexes => false);
-- a device has few pieces a day, and what is packed together is of one chunk
select create_hypertable('spread_energy', by_range('bucket', interval '7 days'), create_default_indexes => false);

alter table readings set (
    timescaledb.enable_columnstore,
    timescaledb.segmentby = 'device',
    timescaledb.orderby = 'time'
);
call add_columnstore_policy('readings', after => interval '7 days');

alter table spread_energy set (
    timescaledb.enable_columnstore,
    timescaledb.segmentby = 'device',
    timescaledb.orderby = 'bucket, ends'
);
call add_columnstore_policy('spread_energy', after => interval '14 days');

-- Rollups keep sums and counts, never averages, so that any of them can be added up exactly. Their buckets begin a
-- microsecond after the quarter hour: what is stamped 11:00 belongs to the quarter before. Energy that is spread over
-- several of them stands in spread_energy.
create materialized view quarter_hourly
with (timescaledb.continuous, timescaledb.materialized_only = false) as
select
    time_bucket(interval '15 minutes', time, "offset" => interval '1 microsecond') as bucket,
    device,
    meter,
    count(*) as readings,
    count(*) filter (where reset) as resets,
    coalesce(sum(energy_mwh) filter (where not spread), 0)::bigint as energy_mwh,
    coalesce(sum(span_ms) filter (where not spread), 0)::bigint as covered_ms,
    min(soc_bp) as soc_bp_min,
    max(soc_bp) as soc_bp_max,
    count(battery_temp_cdeg) as battery_temp_cdeg_count,
    coalesce(sum(battery_temp_cdeg), 0)::bigint as battery_temp_cdeg_sum,
    min(battery_temp_cdeg) as battery_temp_cdeg_min,
    max(battery_temp_cdeg) as battery_temp_cdeg_max,
    count(power_w) as power_w_count,
    coalesce(sum(power_w), 0)::bigint as power_w_sum,
    min(power_w) as power_w_min,
    max(power_w) as power_w_max,
    count(coalesce(voltage_mv, mean_of(voltage_l1_mv, voltage_l2_mv, voltage_l3_mv))) as voltage_mv_count,
    coalesce(sum(coalesce(voltage_mv, mean_of(voltage_l1_mv, voltage_l2_mv, voltage_l3_mv))), 0)::bigint as voltage_mv_sum,
    min(coalesce(voltage_mv, mean_of(voltage_l1_mv, voltage_l2_mv, voltage_l3_mv))) as voltage_mv_min,
    max(coalesce(voltage_mv, mean_of(voltage_l1_mv, voltage_l2_mv, voltage_l3_mv))) as voltage_mv_max,
    count(voltage_l1_mv) as voltage_l1_mv_count,
    coalesce(sum(voltage_l1_mv), 0)::bigint as voltage_l1_mv_sum,
    min(voltage_l1_mv) as voltage_l1_mv_min,
    max(voltage_l1_mv) as voltage_l1_mv_max,
    count(voltage_l2_mv) as voltage_l2_mv_count,
    coalesce(sum(voltage_l2_mv), 0)::bigint as voltage_l2_mv_sum,
    min(voltage_l2_mv) as voltage_l2_mv_min,
    max(voltage_l2_mv) as voltage_l2_mv_max,
    count(voltage_l3_mv) as voltage_l3_mv_count,
    coalesce(sum(voltage_l3_mv), 0)::bigint as voltage_l3_mv_sum,
    min(voltage_l3_mv) as voltage_l3_mv_min,
    max(voltage_l3_mv) as voltage_l3_mv_max
from readings
group by 1, 2, 3
with no data;

create materialized view hourly
with (timescaledb.continuous, timescaledb.materialized_only = false) as
select
    time_bucket(interval '1 hour', bucket, "offset" => interval '1 microsecond') as bucket,
    device,
    meter,
    sum(readings)::bigint as readings,
    sum(resets)::bigint as resets,
    sum(energy_mwh)::bigint as energy_mwh,
    sum(covered_ms)::bigint as covered_ms,
    min(soc_bp_min) as soc_bp_min,
    max(soc_bp_max) as soc_bp_max,
    sum(battery_temp_cdeg_count)::bigint as battery_temp_cdeg_count,
    sum(battery_temp_cdeg_sum)::bigint as battery_temp_cdeg_sum,
    min(battery_temp_cdeg_min) as battery_temp_cdeg_min,
    max(battery_temp_cdeg_max) as battery_temp_cdeg_max,
    sum(power_w_count)::bigint as power_w_count,
    sum(power_w_sum)::bigint as power_w_sum,
    min(power_w_min) as power_w_min,
    max(power_w_max) as power_w_max,
    sum(voltage_mv_count)::bigint as voltage_mv_count,
    sum(voltage_mv_sum)::bigint as voltage_mv_sum,
    min(voltage_mv_min) as voltage_mv_min,
    max(voltage_mv_max) as voltage_mv_max,
    sum(voltage_l1_mv_count)::bigint as voltage_l1_mv_count,
    sum(voltage_l1_mv_sum)::bigint as voltage_l1_mv_sum,
    min(voltage_l1_mv_min) as voltage_l1_mv_min,
    max(voltage_l1_mv_max) as voltage_l1_mv_max,
    sum(voltage_l2_mv_count)::bigint as voltage_l2_mv_count,
    sum(voltage_l2_mv_sum)::bigint as voltage_l2_mv_sum,
    min(voltage_l2_mv_min) as voltage_l2_mv_min,
    max(voltage_l2_mv_max) as voltage_l2_mv_max,
    sum(voltage_l3_mv_count)::bigint as voltage_l3_mv_count,
    sum(voltage_l3_mv_sum)::bigint as voltage_l3_mv_sum,
    min(voltage_l3_mv_min) as voltage_l3_mv_min,
    max(voltage_l3_mv_max) as voltage_l3_mv_max
from quarter_hourly
group by 1, 2, 3
with no data;

create materialized view daily
with (timescaledb.continuous, timescaledb.materialized_only = false) as
select
    time_bucket(interval '1 day', bucket, "offset" => interval '1 microsecond') as bucket,
    device,
    meter,
    sum(readings)::bigint as readings,
    sum(resets)::bigint as resets,
    sum(energy_mwh)::bigint as energy_mwh,
    sum(covered_ms)::bigint as covered_ms,
    min(soc_bp_min) as soc_bp_min,
    max(soc_bp_max) as soc_bp_max,
    sum(battery_temp_cdeg_count)::bigint as battery_temp_cdeg_count,
    sum(battery_temp_cdeg_sum)::bigint as battery_temp_cdeg_sum,
    min(battery_temp_cdeg_min) as battery_temp_cdeg_min,
    max(battery_temp_cdeg_max) as battery_temp_cdeg_max,
    sum(power_w_count)::bigint as power_w_count,
    sum(power_w_sum)::bigint as power_w_sum,
    min(power_w_min) as power_w_min,
    max(power_w_max) as power_w_max,
    sum(voltage_mv_count)::bigint as voltage_mv_count,
    sum(voltage_mv_sum)::bigint as voltage_mv_sum,
    min(voltage_mv_min) as voltage_mv_min,
    max(voltage_mv_max) as voltage_mv_max,
    sum(voltage_l1_mv_count)::bigint as voltage_l1_mv_count,
    sum(voltage_l1_mv_sum)::bigint as voltage_l1_mv_sum,
    min(voltage_l1_mv_min) as voltage_l1_mv_min,
    max(voltage_l1_mv_max) as voltage_l1_mv_max,
    sum(voltage_l2_mv_count)::bigint as voltage_l2_mv_count,
    sum(voltage_l2_mv_sum)::bigint as voltage_l2_mv_sum,
    min(voltage_l2_mv_min) as voltage_l2_mv_min,
    max(voltage_l2_mv_max) as voltage_l2_mv_max,
    sum(voltage_l3_mv_count)::bigint as voltage_l3_mv_count,
    sum(voltage_l3_mv_sum)::bigint as voltage_l3_mv_sum,
    min(voltage_l3_mv_min) as voltage_l3_mv_min,
    max(voltage_l3_mv_max) as voltage_l3_mv_max
from hourly
group by 1, 2, 3
with no data;

-- Rollups are many more rows than their use for history: after some days they are packed, too. What is late still
-- repairs them there.
alter materialized view quarter_hourly set (timescaledb.enable_columnstore, timescaledb.segmentby = 'device');
alter materialized view hourly set (timescaledb.enable_columnstore, timescaledb.segmentby = 'device');
alter materialized view daily set (timescaledb.enable_columnstore, timescaledb.segmentby = 'device');

select create_hypertable('accounted_energy', by_range('hour', interval '1 day'));
