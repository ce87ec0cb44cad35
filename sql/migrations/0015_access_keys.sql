-- Keys, by which the service knows who sends a request. Their secrets are random: a plain hash of them is enough.
create table access_keys (
    id text collate "C" primary key,
    name text collate "C" not null,
    -- SHA-256 of the secret.
    secret_hash bytea not null check (octet_length(secret_hash) = 32),
    -- The secret that a rotation replaced, for as long as it still works.
    previous_hash bytea check (octet_length(previous_hash) = 32),
    previous_until timestamptz,
    scopes text[] not null check (cardinality(scopes) > 0),
    -- Patterns of device ids, and names of sites; empty: all devices.
    devices text[] not null default '{}',
    sites text[] not null default '{}',
    created_at timestamptz not null default now(),
    created_by text not null,
    expires_at timestamptz,
    revoked_at timestamptz,
    last_used_at timestamptz
);

-- The keys that live: a revoked one gives its name back.
create unique index access_keys_by_name
    on access_keys (name)
    where revoked_at is null;

-- Counts the changes of keys, so that a service knows in one look whether what it has is still true. One row.
create table access_key_changes (
    one_row boolean primary key default true check (one_row),
    version bigint not null default 0
);

insert into access_key_changes
default values;

create function note_access_key_change()
returns trigger
language plpgsql
as $$
begin
    update access_key_changes
    set version = version + 1;
    return null;
end;
$$;

-- Every change but that of last_used_at.
create trigger access_keys_change
    after insert or delete or truncate or update of
        id, name, secret_hash, previous_hash, previous_until, scopes, devices, sites, expires_at, revoked_at
    on access_keys
    for each statement
    execute function note_access_key_change();
