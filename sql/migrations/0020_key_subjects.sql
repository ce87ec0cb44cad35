-- The subject of the client certificate that stands for a key, exactly as the proxy in front of the service says it.
alter table access_keys
    add column subject text collate "C";

create unique index access_keys_by_subject
    on access_keys (subject)
    where revoked_at is null
        and subject is not null;
