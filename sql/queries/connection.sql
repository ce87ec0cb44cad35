-- What each connection needs before its first batch.

-- name: prepare_session()#
-- The temporary tables that a batch is copied into; emptied by every commit. Energy is as it was sent, until the
-- timeline has put the readings between those around them.
create temporary table if not exists incoming (
    -- The position in the batch, and which of several readings of one key it is.
    item integer not null,
    turn bigint not null default 1,
    device integer not null,
    meter integer,
    time timestamptz not null,
    energy_mwh bigint,
    register_mwh bigint,
    highest_mwh bigint,
    reverse_highest_mwh bigint,
    span_ms bigint,
    interval_start timestamptz,
    meter_declared boolean not null default false,
    reset boolean not null default false,
    spread boolean not null default false,
    -- each measurement, last: {column} {type},
    soc_bp smallint, battery_temp_cdeg smallint, power_w integer, odometer_m bigint, reverse_mwh bigint,
    reverse_register_mwh bigint, voltage_mv integer, voltage_l1_mv integer, voltage_l2_mv integer,
    voltage_l3_mv integer, session integer
    -- end
) on commit delete rows;
-- What a batch that is newer than all of its devices says about them.
create temporary table if not exists newest (
    -- When they had reported and given energy before, as far as the writer knows; energy: null, with the same reading.
    expected timestamptz,
    energy_expected timestamptz,
    derivation integer not null default 0,
    device integer not null,
    meter integer,
    time timestamptz not null,
    -- From the newest reading that gives them, and when that was; null: at this time.
    energy_mwh bigint,
    register_mwh bigint,
    highest_mwh bigint,
    span_ms bigint,
    energy_at timestamptz,
    -- each measurement: {column} {type},
    soc_bp smallint, battery_temp_cdeg smallint, power_w integer, odometer_m bigint, reverse_mwh bigint,
    reverse_register_mwh bigint, voltage_mv integer, voltage_l1_mv integer, voltage_l2_mv integer,
    voltage_l3_mv integer, session integer,
    -- end
    -- each measurement: {column}_at timestamptz,
    soc_bp_at timestamptz, battery_temp_cdeg_at timestamptz, power_w_at timestamptz, odometer_m_at timestamptz,
    reverse_mwh_at timestamptz, reverse_register_mwh_at timestamptz, voltage_mv_at timestamptz,
    voltage_l1_mv_at timestamptz, voltage_l2_mv_at timestamptz, voltage_l3_mv_at timestamptz, session_at timestamptz,
    -- end
    meter_declared boolean not null default false,
    reset boolean not null default false,
    spread boolean not null default false
) on commit delete rows;
-- What history is to have under the keys of a batch.
create temporary table if not exists heads (
    is_stored boolean not null default false,
    is_changed boolean not null default false,
    was_ms bigint,
    device integer not null,
    meter integer,
    time timestamptz not null,
    energy_mwh bigint,
    register_mwh bigint,
    interval_start timestamptz,
    meter_declared boolean not null,
    -- each measurement, last: {column} {type},
    soc_bp smallint, battery_temp_cdeg smallint, power_w integer, odometer_m bigint, reverse_mwh bigint,
    reverse_register_mwh bigint, voltage_mv integer, voltage_l1_mv integer, voltage_l2_mv integer,
    voltage_l3_mv integer, session integer
    -- end
) on commit delete rows;
create temporary table if not exists timeline (
    device integer not null,
    time timestamptz not null,
    energy_mwh bigint,
    register_mwh bigint,
    interval_start timestamptz,
    -- How long its interval is in history.
    span_ms bigint,
    -- How long it is at most, where the reading does not say when it began.
    interval_ms bigint not null,
    is_new boolean not null,
    is_newest boolean not null default false
) on commit delete rows;
-- What derive_registers() finds, in the columns of derived_register: that type is not there before the database is
-- migrated, when a service connects already.
create temporary table if not exists derived_registers (
    time timestamptz,
    is_new boolean,
    interval_start timestamptz,
    energy_mwh bigint,
    span_ms bigint,
    reset boolean,
    highest_mwh bigint,
    carry_mwh bigint,
    gap_ms bigint,
    was_energy_mwh bigint,
    was_span_ms bigint,
    was_reset boolean,
    was_highest_mwh bigint
) on commit delete rows;
-- Readings of the batch that carry registers, in both directions, and the energy that follows from them.
create temporary table if not exists new_registers (
    device integer not null,
    is_reverse boolean not null,
    time timestamptz not null,
    -- Null: it has the other kind of energy.
    register_mwh bigint,
    interval_start timestamptz,
    energy_mwh bigint,
    span_ms bigint,
    reset boolean not null default false,
    highest_mwh bigint,
    primary key (device, is_reverse, time)
) on commit delete rows;
