-- The reach of a key, as fleetmeter.access.reach has it: LIKE patterns of ids and names of sites, null for all.

create or replace function within_reach(id text, site text, id_patterns text[], sites text[])
returns boolean language sql immutable parallel safe as $$
    select (id_patterns is null or id like any (id_patterns)) and (sites is null or coalesce(site = any (sites), false))
$$;
