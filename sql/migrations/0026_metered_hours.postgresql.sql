-- What meters metered by quarter hour, added up hour by hour, since the rollups of this engine are views over history.
-- An hour counts as long as it stands in metered_hours; it is struck out there when its history changes, and added up
-- again (add_up_meters()).
create table meter_quarters (
    hour timestamptz not null,
    meter integer not null,
    -- Of its four quarter hours, and how much of each its readings cover.
    mwh_1 bigint not null,
    mwh_2 bigint not null,
    mwh_3 bigint not null,
    mwh_4 bigint not null,
    covered_ms_1 integer not null,
    covered_ms_2 integer not null,
    covered_ms_3 integer not null,
    covered_ms_4 integer not null,
    primary key (hour, meter)
);

create table metered_hours (
    hour timestamptz primary key
);
