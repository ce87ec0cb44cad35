-- Rejected readings: their counts, and readings that are stamped by their arrival instead.

-- Returns whether rejections of a device, the last one at p_last_at, are over by p_at: none for 25 hours (a device may
-- report once a day), or a reading accepted since and none rejected for 15 minutes or two of its reporting intervals.
create or replace function refusals_are_over(
    p_last_at timestamptz,
    p_at timestamptz,
    p_accepted_at timestamptz,
    p_reporting_interval_s integer
)
returns boolean
language sql
immutable
return p_at - p_last_at > interval '25 hours'
    or coalesce(p_accepted_at > p_last_at, false)
    and p_at - p_last_at > greatest(interval '15 minutes', p_reporting_interval_s * interval '2 seconds');

-- Makes room among the ids of unknown devices, which anyone can invent: deletes those whose last rejection is more than
-- a day ago. Returns how many more there may be.
create or replace function room_for_unknown_ids(p_at timestamptz)
returns bigint
language plpgsql
as $$
declare
    l_most constant bigint := 1000;
    l_kept bigint := (select count(*) from rejections as r where not r.is_known);
begin
    if l_kept >= l_most then
        delete from rejections as r
        where not r.is_known
            and r.last_at < p_at - interval '1 day';
        l_kept := (select count(*) from rejections as r where not r.is_known);
    end if;
    return greatest(l_most - l_kept, 0);
end;
$$;

-- Adds what a service has counted since the last time: an array of objects with the columns of rejections.
create or replace function note_rejections(p_rejections jsonb)
returns void
language plpgsql
as $$
declare
    l_room bigint;
begin
    -- one at a time, so that the table stays as it was read
    perform pg_advisory_xact_lock(hashtext('fleetmeter.rejections'));
    l_room := room_for_unknown_ids(now());
    -- rejections that were over start again
    update rejections as r
    set
        since = u.first_at,
        count_since = 0
    from jsonb_populate_recordset(null::rejections, p_rejections) as u
    left join devices as d
        on d.kind = u.kind
        and d.id = u.id
    left join live_state as s
        on s.device = d.device
    where r.id = u.id
        and r.kind = u.kind
        and r.code = u.code
        and refusals_are_over(r.last_at, u.first_at, s.last_seen, d.reporting_interval_s);
    insert into rejections as r (
        id, kind, code, is_known, count, first_at, last_at, since, count_since, detail, path, example
    )
    select
        n.id, n.kind, n.code, n.is_known, n.count, n.first_at, n.last_at, n.first_at, n.count, n.detail, n.path,
        n.example
    from (
        select
            p.id, p.kind, p.code, bool_or(p.is_known) as is_known, sum(p.count) as count, min(p.first_at) as first_at,
            max(p.last_at) as last_at, min(p.detail) as detail, min(p.path) as path, min(p.example) as example
        from (
            select
                s.code, s.count, s.first_at, s.last_at, s.detail, s.path, s.example, s.is_known,
                case when s.has_room then s.id else '' end as id,
                case when s.has_room then s.kind else '' end as kind
            from (
                select
                    u.id, u.kind, u.code, u.count, u.first_at, u.last_at, u.detail, u.path, u.example,
                    d.device is not null as is_known,
                    u.id = ''
                        or d.device is not null
                        or o.id is not null
                        or row_number() over (partition by d.device is null and o.id is null order by u.last_at)
                            <= l_room as has_room
                from jsonb_populate_recordset(null::rejections, p_rejections) as u
                left join devices as d
                    on d.kind = u.kind
                    and d.id = u.id
                left join rejections as o
                    on o.id = u.id
                    and o.kind = u.kind
                    and o.code = u.code
            ) as s
        ) as p
        group by p.id, p.kind, p.code
        order by p.id, p.kind, p.code
    ) as n
    on conflict (id, kind, code) do update
    set
        is_known = excluded.is_known,
        count = r.count + excluded.count,
        last_at = greatest(r.last_at, excluded.last_at),
        count_since = r.count_since + excluded.count_since,
        detail = excluded.detail,
        path = excluded.path,
        example = excluded.example;
end;
$$;

-- Stamps readings by their arrival; returns the times under which they are stored, in their order. A reading sent
-- before, with the same clock and the same values, within ten minutes, keeps its time: its answer was lost, or it got
-- none.
create or replace function stamp_readings(
    p_devices integer[],
    p_sent timestamptz[],
    p_times timestamptz[],
    p_digests bigint[]
)
returns timestamptz[]
language plpgsql
as $$
declare
    l_times timestamptz[] := p_times;
    l_device integer;
    l_time timestamptz;
begin
    for l_device in
        select distinct u.device
        from unnest(p_devices) as u (device)
        order by u.device
    loop
        perform pg_advisory_xact_lock(hashtext('fleetmeter.arrival_stamps'), l_device);
    end loop;
    for l_place in 1 .. cardinality(p_devices) loop
        select a.time
        into l_time
        from arrival_stamps as a
        where a.device = p_devices[l_place]
            and a.sent_time = p_sent[l_place]
            and a.digest = p_digests[l_place]
            and a.time > p_times[l_place] - interval '10 minutes'
        order by a.time desc
        limit 1;
        if found then
            l_times[l_place] := l_time;
        else
            loop
                insert into arrival_stamps (device, time, sent_time, digest)
                values (p_devices[l_place], l_times[l_place], p_sent[l_place], p_digests[l_place])
                on conflict do nothing;
                exit when found;
                l_times[l_place] := l_times[l_place] + interval '1 millisecond';
            end loop;
        end if;
    end loop;
    return l_times;
end;
$$;

-- Deletes stamps of dropped readings, and rejections that ended more than 90 days ago.
create or replace function drop_old_rejections()
returns void
language plpgsql
as $$
begin
    delete from arrival_stamps as a
    where a.time < (select kept_since());
    delete from rejections as r
    where r.last_at < now() - interval '90 days';
end;
$$;
