-- What charging stations report: transactions, and whom their tokens stand for. The vehicle of a transaction is
-- assigned to its meter while it lasts.

-- Whom a token stands for from a time on, until its next row.
create table tokens (
    -- Stations write tokens in upper or lower case; they mean the same.
    token_key text collate "C" not null,
    since timestamptz not null,
    -- As it was written.
    token text collate "C" not null check (length(token) between 1 and 64 and lower(token) = token_key),
    driver text check (length(driver) between 1 and 200),
    vehicle integer,
    created_at timestamptz not null default now(),
    primary key (token_key, since)
);

create index tokens_by_vehicle
    on tokens (vehicle)
    where vehicle is not null;

-- Sessions of record. One that is known by its end alone has no start.
create table transactions (
    -- What a station of OCPP 1.6 is told to call it.
    number integer generated always as identity primary key,
    station_id text collate "C" not null check (length(station_id) between 1 and 255),
    connector integer not null check (connector >= 0),
    -- What the station calls it; null: its number.
    own_id text collate "C" check (length(own_id) between 1 and 64),
    meter integer not null,
    measures text not null check (measures in ('ac', 'dc')),
    token text collate "C" check (length(token) between 1 and 64),
    token_key text collate "C" generated always as (lower(token)) stored,
    -- When its token was erased from it.
    erased_at timestamptz,
    -- Whom the token stood for when it began.
    driver text,
    vehicle integer,
    started_at timestamptz,
    register_start_mwh bigint,
    -- Null: it has not ended, as far as is known.
    ended_at timestamptz,
    register_end_mwh bigint,
    reason text check (length(reason) between 1 and 64),
    -- When it began; when it ended, if its start is not known.
    at timestamptz not null generated always as (coalesce(started_at, ended_at)) stored,
    received_at timestamptz not null default now()
);

-- However often a message is sent, and to whichever replica, it is about one transaction: by what the station calls it,
-- or else by what its start says, or its end if that is all there is.
create unique index transactions_by_own_id
    on transactions (own_id, station_id)
    where own_id is not null;

create unique index transactions_by_start
    on transactions (station_id, connector, started_at, token, register_start_mwh) nulls not distinct
    where own_id is null and started_at is not null and erased_at is null;

create unique index transactions_by_end
    on transactions (station_id, connector, ended_at, token, register_end_mwh) nulls not distinct
    where own_id is null and started_at is null and erased_at is null;

create index transactions_by_connector
    on transactions (station_id, connector, at);

create index transactions_by_time
    on transactions (at, number);

create index transactions_by_meter
    on transactions (meter, at, number);

create index transactions_by_vehicle
    on transactions (vehicle, at, number)
    where vehicle is not null;

create index transactions_by_vehicle_and_end
    on transactions (vehicle, ended_at)
    where vehicle is not null and ended_at is not null;

create index transactions_by_token
    on transactions (token_key, at)
    where token_key is not null;

create index transactions_that_are_open
    on transactions (at, number)
    where ended_at is null;

alter table assignments
    -- The transaction that it follows from; null: somebody said so.
    add by_transaction integer,
    -- From when on readings are still to be stamped; null: from its start.
    add restamp_from timestamptz;

create index assignments_that_were_said
    on assignments (vehicle, since)
    where by_transaction is null;

create index assignments_by_transactions
    on assignments (since)
    where by_transaction is not null;
