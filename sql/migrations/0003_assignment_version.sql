-- Counts the changes of assignments, so that a service knows in one look whether what it remembers
-- of them is still true.
create table assignment_version (
    version bigint not null
);

insert into assignment_version (version)
values (0);

-- These answered with a count of all; now with one for each request that shares the batch.
drop function if exists store_vehicle_readings();
drop function if exists store_meter_readings();
