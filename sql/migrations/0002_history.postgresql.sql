-- The rollups of history that is not kept any more; those of the rest are views over it. Columns as of the
-- quarter-hourly rollup.

create table kept_quarter_hours (
    bucket timestamptz not null,
    device integer not null,
    meter integer,
    readings bigint not null,
    resets bigint not null,
    energy_mwh bigint not null,
    covered_ms bigint not null,
    soc_bp_min smallint,
    soc_bp_max smallint,
    battery_temp_cdeg_count bigint,
    battery_temp_cdeg_sum bigint,
    battery_temp_cdeg_min smallint,
    battery_temp_cdeg_max smallint,
    power_w_count bigint,
    power_w_sum bigint,
    power_w_min integer,
    power_w_max integer,
    voltage_mv_count bigint,
    voltage_mv_sum bigint,
    voltage_mv_min integer,
    voltage_mv_max integer,
    voltage_l1_mv_count bigint,
    voltage_l1_mv_sum bigint,
    voltage_l1_mv_min integer,
    voltage_l1_mv_max integer,
    voltage_l2_mv_count bigint,
    voltage_l2_mv_sum bigint,
    voltage_l2_mv_min integer,
    voltage_l2_mv_max integer,
    voltage_l3_mv_count bigint,
    voltage_l3_mv_sum bigint,
    voltage_l3_mv_min integer,
    voltage_l3_mv_max integer
);

create index kept_quarter_hours_by_device
    on kept_quarter_hours (device, bucket);
create index kept_quarter_hours_by_time
    on kept_quarter_hours (bucket);
