-- Registers as they are in the field: they flutter, drop out and come back, start again, are exchanged.

alter table devices
    -- What its registers are: totals that only grow (null), or counters that begin again with each session.
    add column register text check (register in ('lifetime', 'session')),
    -- It has sent interval energy and a register, one after the other.
    add column changes_kind boolean not null default false;

-- The highest value that a register has shown since it began, where that is not the reading's own.
alter table readings
    add column highest_mwh bigint,
    add column reverse_highest_mwh bigint;
alter table replaced_readings
    add column highest_mwh bigint,
    add column reverse_highest_mwh bigint;
alter table live_state
    add column highest_mwh bigint,
    add column reverse_highest_mwh bigint,
    -- From this value on (null: none), a newer reading may be more than a rise, and the database looks into it.
    add column register_limit_mwh bigint,
    add column reverse_limit_mwh bigint,
    -- Counts the times that the database looked into its registers: writers remember what it found.
    add column derivation integer not null default 0;

-- What happened to registers, beside rising. All but a dip are beginnings: energy counts from the value on.
create table register_events (
    device integer not null,
    -- Of the register of energy in the other direction.
    is_reverse boolean not null,
    -- The reading with which it began.
    time timestamptz not null,
    -- reset: it shows far less, or impossibly more; rollover; placeholder: what it showed before was not its value;
    -- exchange: another meter; change: the device sent interval energy before; dip: it came back to its highest value.
    kind text not null check (kind in ('change', 'dip', 'exchange', 'placeholder', 'reset', 'rollover')),
    -- When a dip was over; null: it is not a dip.
    until timestamptz,
    -- What the register shows there, its highest value before, and when the reading before was.
    value_mwh bigint not null,
    highest_mwh bigint,
    highest_at timestamptz,
    -- When it had last shown no more than this value; null: it never has.
    low_until timestamptz,
    -- Of an exchange: what the old meters had counted behind that reading.
    carry_mwh bigint,
    primary key (device, is_reverse, time, kind)
);

-- Meters that were exchanged, as somebody stated.
create table register_exchanges (
    device integer not null,
    is_reverse boolean not null,
    at timestamptz not null,
    -- What the old one showed at the end, and the new one at the beginning.
    last_mwh bigint not null,
    first_mwh bigint not null,
    stated_at timestamptz not null default now(),
    primary key (device, is_reverse, at)
);

-- What a register's reading comes to, and what is stored of it: of the readings that are derived together.
create type derived_register as (
    time timestamptz,
    is_new boolean,
    interval_start timestamptz,
    energy_mwh bigint,
    span_ms bigint,
    reset boolean,
    highest_mwh bigint,
    -- What was added to its energy from before an exchange, and how long ago the reading before was.
    carry_mwh bigint,
    gap_ms bigint,
    was_energy_mwh bigint,
    was_span_ms bigint,
    was_reset boolean,
    was_highest_mwh bigint
);

-- stored registers are derived again by these rules
update devices as d
set derive_since = '-infinity'
from live_state as s
where s.device = d.device
    and (s.register_mwh is not null or s.reverse_register_mwh is not null);

-- routines whose arguments or columns change, or that are not needed any more
drop function if exists
    append_readings, register_energy, reverse_energy, derived_readings, late_runs, add_far_neighbours,
    add_dropped_neighbours, derive_reading, require_one_row, derive_again;
