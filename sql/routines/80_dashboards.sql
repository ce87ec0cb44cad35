-- Returns the bounds of the buckets in which a dashboard shows a window, for the functions that take p_bounds: hours of
-- UTC or, of a window longer than three days, days of a time zone; whole ones that touch the window.
create or replace function buckets_between(p_from timestamptz, p_to timestamptz, p_time_zone text)
returns timestamptz[]
language sql
stable
return case
    when p_to - p_from <= interval '3 days' then array(
        select h.bound
        from generate_series(floor_hour(p_from), ceil_hour(p_to), interval '1 hour') as h (bound)
    )
    else array(
        select d.day at time zone p_time_zone
        from generate_series(
            date_trunc('day', p_from at time zone p_time_zone),
            date_trunc('day', p_to at time zone p_time_zone) + interval '1 day',
            interval '1 day'
        ) as d (day)
    )
end;
