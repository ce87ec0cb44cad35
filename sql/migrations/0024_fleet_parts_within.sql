-- A row of fleet_energy_within(): part of the fleet's answer (fleet_part), of the devices within a reach.
create type fleet_part_within as (
    starts timestamptz,
    -- Null: none was there, or it is outside.
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
    left_out_dc_mwh bigint,
    left_out_ac_mwh bigint,
    left_out_ms bigint,
    meter_left_out_ms bigint,
    charging_ms bigint,
    charging_compared_ms bigint,
    meter_charging_ms bigint,
    meter_charging_compared_ms bigint,
    -- What devices within reach have of it themselves; it counts for sums of vehicles and of the fleet.
    is_of_fleet boolean,
    -- All of a row of a meter within reach, whichever vehicle was there; it counts for sums of meters.
    is_of_meter boolean
);

-- it returns that type now
drop function if exists fleet_energy_within cascade;
