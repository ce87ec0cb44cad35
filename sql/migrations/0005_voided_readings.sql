-- Readings that a correction took out. What they had stands in replaced_readings; a device that sends one of them again
-- does not bring it back.
create table voided_readings (
    device integer not null,
    time timestamptz not null,
    primary key (device, time)
);

-- it takes what a correction gives, also the interval's start
drop function if exists derive_again(integer, timestamptz, bigint, bigint);
