-- The reach of a key, as fleetmeter.access.reach has it: LIKE patterns of ids and names of sites, null for all.

create or replace function within_reach(id text, site text, id_patterns text[], sites text[])
returns boolean language sql immutable parallel safe as $$
    select (id_patterns is null or id like any (id_patterns)) and (sites is null or coalesce(site = any (sites), false))
$$;

-- The same of what is stored with the id of a device, or with the name of a site: a site as a whole is within a reach
-- that lists it and has no patterns of ids. Unlimited keys never get here: see subject_within_reach().
create or replace function subject_within_limits(p_kind text, p_id text, id_patterns text[], sites text[])
returns boolean
language plpgsql
stable
parallel safe
as $$
begin
    return coalesce(
        within_reach(
            case when p_kind <> 'site' then p_id end,
            case
                when p_kind = 'site' then p_id
                else (select d.site from devices as d where d.kind = p_kind and d.id = p_id)
            end,
            id_patterns,
            sites
        ),
        false
    );
end;
$$;

-- Inlined, so that it costs nothing without limits.
create or replace function subject_within_reach(p_kind text, p_id text, id_patterns text[], sites text[])
returns boolean language sql stable parallel safe as $$
    select id_patterns is null and sites is null or subject_within_limits(p_kind, p_id, id_patterns, sites)
$$;

-- Those of some meters' ids, in their order, that are within reach.
create or replace function meters_within_reach(p_ids text[], id_patterns text[], sites text[])
returns text[]
language plpgsql
stable
parallel safe
as $$
begin
    if id_patterns is null and sites is null then
        return p_ids;
    end if;
    return array(
        select u.id
        from unnest(p_ids) with ordinality as u (id, place)
        where subject_within_limits('meter', u.id, id_patterns, sites)
        order by u.place
    );
end;
$$;
