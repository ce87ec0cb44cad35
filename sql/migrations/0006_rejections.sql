-- Readings that were refused, counted by what they said was their device, and by code. Services add what they counted
-- every few seconds. An id is as it was sent, and need not be a device's: '' is none, or one that had no room.
create table rejections (
    id text collate "C" not null,
    kind text not null check (kind in ('', 'vehicle', 'meter')),
    code text not null,
    -- Whether it is a device's that has been named before; of others, few are kept.
    is_known boolean not null,
    count bigint not null,
    first_at timestamptz not null,
    last_at timestamptz not null,
    -- Since when it goes on, and how many there were since then: see refusals_are_over().
    since timestamptz not null,
    count_since bigint not null,
    -- Of one of the last ones: what was wrong, where, and the reading as it was sent, cut.
    detail text not null,
    path text not null,
    example text not null,
    primary key (id, kind, code)
);

create index rejections_of_unknown_devices
    on rejections (last_at)
    where not is_known;

-- Readings that were stamped by their arrival, since the device's clock cannot be right: what it said.
create table arrival_stamps (
    device integer not null,
    time timestamptz not null,
    sent_time timestamptz not null,
    -- Of the reading's values: the same ones again are the same reading.
    digest bigint not null,
    primary key (device, time)
);

create index arrival_stamps_by_sent_time
    on arrival_stamps (device, sent_time, time);

-- Whether readings whose time cannot be are stamped by their arrival.
alter table devices
    add column stamp_by_arrival boolean;

create index anomalies_of_refusals
    on anomalies (device_id)
    where kind = 'readings_refused' and ended_at is null;
