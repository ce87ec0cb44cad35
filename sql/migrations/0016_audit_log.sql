-- Who changed what, from where and when: written in the transaction of the change, and never changed.
create table audit_log (
    id bigint generated always as identity primary key,
    at timestamptz not null default now(),
    who text not null,
    -- The address that the request came from; null: a command.
    address text,
    request_id text,
    action text not null,
    -- What was changed: vehicle EV-1, key 1a2b3c, …
    object text not null,
    -- What differs; null: there was nothing, or there is nothing any more.
    before jsonb,
    after jsonb
);

create index audit_log_by_object
    on audit_log (object, id);

create index audit_log_by_who
    on audit_log (who, id);

create function refuse_audit_change()
returns trigger
language plpgsql
as $$
begin
    raise exception 'the audit log only grows';
end;
$$;

create trigger audit_log_only_grows
    before update or delete or truncate on audit_log
    for each statement
    execute function refuse_audit_change();
