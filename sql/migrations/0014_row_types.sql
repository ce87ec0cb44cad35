-- Types of rows that several routines return, each with its columns in one place.

-- Part of a vehicle's answer, as accounted_parts() and parts_to_share() return it.
create type vehicle_part as (
    -- The position of its bucket in the bounds.
    place integer,
    -- Null: the meter's own row, for a meter at which no other vehicle ever charged.
    vehicle integer,
    -- Null: the vehicle was at no meter.
    meter integer,
    dc_mwh bigint,
    ac_mwh bigint,
    compared_dc_mwh bigint,
    compared_ac_mwh bigint,
    compared_ms bigint,
    charging_ms bigint,
    charging_compared_ms bigint,
    covered_dc_ms bigint,
    covered_ac_ms double precision,
    readings bigint,
    resets bigint,
    soc_bp_min smallint,
    soc_bp_max smallint,
    battery_temp_cdeg_count bigint,
    battery_temp_cdeg_sum bigint,
    battery_temp_cdeg_max smallint
);

-- Part of the fleet's answer, to be added up by bucket and vehicle, meter or both. A meter's own columns (including the
-- AC that no vehicle took, null when it reported nothing) are in only one of its rows per quarter hour, without a
-- vehicle when none was there.
create type fleet_part as (
    -- The start of its bucket.
    starts timestamptz,
    vehicle integer,
    -- Null: the vehicle was at no meter.
    meter integer,
    dc_mwh bigint,
    ac_mwh bigint,
    readings bigint,
    resets bigint,
    covered_dc_ms bigint,
    covered_ac_ms double precision,
    unattributed_mwh bigint,
    meter_readings bigint,
    meter_covered_dc_ms bigint,
    meter_covered_ac_ms bigint,
    -- Energy and time left out of the comparison; null: none.
    left_out_dc_mwh bigint,
    left_out_ac_mwh bigint,
    left_out_ms bigint,
    meter_left_out_ms bigint,
    charging_ms bigint,
    charging_compared_ms bigint,
    meter_charging_ms bigint,
    meter_charging_compared_ms bigint
);

-- What `fleetmeter storage` shows of relations and of the jobs that maintain them, the same on both engines.
create type stored_relation as (
    relation text,
    about_rows bigint,
    bytes bigint,
    chunks bigint,
    columnstore_chunks bigint,
    columnstore_rows bigint,
    columnstore_bytes_before bigint,
    columnstore_bytes bigint,
    oldest timestamptz,
    newest timestamptz
);
create type storage_job as (
    job text,
    relation text,
    every interval,
    last_run timestamptz,
    outcome text,
    error text,
    took interval,
    next_run timestamptz,
    readings bigint
);

-- routines that return them now are created again
drop function if exists
    accounted_parts, parts_to_share, vehicle_parts, fleet_energy, fleet_sums, fleet_report, stored_relations,
    storage_jobs cascade;

-- it has another name
drop function if exists said_before;
