-- Browsers that are signed in, with a key or as a person. Their cookies are random: a plain hash of them is enough.
create table browser_sessions (
    -- SHA-256 of the cookie.
    cookie_hash bytea primary key check (octet_length(cookie_hash) = 32),
    -- The id of the key, or oidc:NAME.
    holder text collate "C" not null,
    -- SHA-256 of the secret of the key: once that is replaced, the session ends with it.
    key_hash bytea check (octet_length(key_hash) = 32),
    -- Of a person: the issuer, and what the token said. Sites are null for all devices.
    issuer text,
    scopes text[],
    sites text[],
    created_at timestamptz not null default now(),
    -- Moves on with use, up to longest_until.
    ends_at timestamptz not null,
    longest_until timestamptz not null,
    check ((key_hash is null) <> (issuer is null)),
    check ((issuer is null) = (scopes is null))
);

create index browser_sessions_by_holder
    on browser_sessions (holder, created_at);

create index browser_sessions_by_age
    on browser_sessions (created_at);
