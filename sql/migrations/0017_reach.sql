-- Sums of the fleet are of the devices within reach, which the functions take (routines/32_fleet.sql). As an older
-- version calls them, without it, they are of all devices.
drop function if exists fleet_sums(timestamptz[]);
drop function if exists fleet_report(
    timestamptz, timestamptz, text, bigint, text, boolean, double precision, text, bigint
);
