-- What is wrong, since when, and why; what the rules remember of each device; and who is notified. What was found is
-- told in words and ids, so that it stands when a device has gone.

-- One row for each stretch of time in which something was wrong. Times of the readings: it began at started_at, a rule
-- was sure at detected_at, it was over at ended_at. The others are of the clock.
create table anomalies (
    id bigint generated always as identity primary key,
    kind text not null,
    device_kind text not null check (device_kind in ('vehicle', 'meter', 'site')),
    device_id text collate "C" not null,
    site text collate "C",
    status text not null check (status in ('open', 'acknowledged', 'resolved')),
    cause text,
    summary text not null,
    evidence jsonb not null,
    started_at timestamptz not null,
    detected_at timestamptz not null,
    ended_at timestamptz,
    opened_at timestamptz not null default now(),
    acknowledged_at timestamptz,
    acknowledged_by text,
    resolved_at timestamptz,
    -- Null: a rule found that it was over.
    resolved_by text,
    -- How often it came back within the time in which that counts as the same.
    reopened integer not null default 0
);

create unique index anomalies_one_at_a_time
    on anomalies (kind, device_kind, device_id)
    where status <> 'resolved';
create index anomalies_by_device
    on anomalies (device_id, kind, id);
create index anomalies_by_site
    on anomalies (site, id)
    where site is not null;

-- What happened to them, in the order of the commits: whoever inserts holds the advisory lock
-- 'fleetmeter.anomaly_events' until the end of its transaction. The anomaly as it stood then, as the API shows it.
create table anomaly_events (
    id bigint generated always as identity primary key,
    anomaly_id bigint not null references anomalies (id) on delete cascade,
    event text not null check (event in ('opened', 'acknowledged', 'resolved', 'reopened', 'updated')),
    at timestamptz not null default now(),
    who text,
    note text,
    anomaly jsonb not null
);

create index anomaly_events_by_anomaly
    on anomaly_events (anomaly_id, id);

-- What the rules remember of a device from one hour to the next ('hours'), or of its clock ('clock').
create table anomaly_memory (
    aspect text not null check (aspect in ('hours', 'clock')),
    device_kind text not null check (device_kind in ('vehicle', 'meter', 'site')),
    device_id text collate "C" not null,
    memory jsonb not null,
    primary key (aspect, device_kind, device_id)
);

-- Up to where hours have been evaluated, one row.
create table anomaly_progress (
    one_row boolean primary key default true check (one_row),
    evaluated_until timestamptz,
    ran_at timestamptz,
    took interval
);

insert into anomaly_progress
default values;

-- Thresholds that differ from the defaults; the narrowest scope wins, parameter by parameter. The target is '' for
-- the fleet.
create table rule_overrides (
    kind text not null,
    scope text not null check (scope in ('fleet', 'site', 'vehicle', 'meter')),
    target text collate "C" not null,
    parameters jsonb not null,
    changed_at timestamptz not null default now(),
    changed_by text not null,
    primary key (kind, scope, target)
);

create table rule_changes (
    id bigint generated always as identity primary key,
    kind text not null,
    scope text not null,
    target text collate "C" not null,
    parameters jsonb not null,
    replaced jsonb,
    changed_at timestamptz not null default now(),
    changed_by text not null,
    note text
);

create index rule_changes_by_kind
    on rule_changes (kind, id);

-- Who is told, and how far it got. The secret signs what is sent, so it must be known as it is.
create table webhooks (
    id bigint generated always as identity primary key,
    url text not null unique,
    secret text not null,
    format text not null check (format in ('fleetmeter', 'alertmanager')),
    -- Null: of all kinds.
    kinds text[],
    created_at timestamptz not null default now(),
    -- The last event that it has taken, or that is not for it.
    last_event_id bigint not null,
    last_success_at timestamptz,
    failures integer not null default 0,
    next_attempt_at timestamptz not null default now(),
    last_error text,
    -- Null: it is told; it has failed too often otherwise.
    disabled_at timestamptz
);
