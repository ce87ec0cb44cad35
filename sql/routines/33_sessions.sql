-- Charging sessions, derived from one vehicle's readings: runs of readings with energy, split where none
-- came for longer than the gap of accounting (but at least one and a half reporting intervals), or where the
-- meter changed.
--
-- A session belongs to the window that it begins in, and is given whole, so that neighbouring windows have
-- each session once. It begins where the interval of its first reading does (which may end long after the window), but
-- not before the session before is over. Reads history by the primary key, from a gap before the window up to the end of
-- the last session; one that goes on for a month after the window is given up to there, and open.
create or replace function charging_sessions(p_vehicle text, p_from timestamptz, p_to timestamptz)
returns table (
    begins timestamptz,
    finishes timestamptz,
    meter_id text,
    soc_bp_from smallint,
    soc_bp_to smallint,
    battery_temp_cdeg_max smallint,
    peak_mw double precision,
    is_open boolean
)
language plpgsql
stable
set plan_cache_mode = force_custom_plan
as $$
declare
    l_vehicle constant integer := device_of('vehicle', p_vehicle);
    l_interval constant interval := make_interval(
        secs => coalesce(
            (select d.reporting_interval_s from devices as d where d.device = l_vehicle),
            (select a.reporting_interval_s from accounting as a)
        )
    );
    l_gap constant interval := greatest(
        (select make_interval(secs => a.session_gap_s) from accounting as a),
        l_interval * 1.5
    );
    l_before constant timestamptz := p_from - l_gap - l_gap;
    l_until timestamptz := greatest(
        p_to + l_gap,
        -- where the intervals end that go on then
        (
            select max(s.ends)
            from spread_energy as s
            where s.device = l_vehicle
                and s.bucket > floor_quarter(p_to - interval '1 microsecond')
                and s.bucket <= p_to
        )
    );
begin
    -- on to where nothing was charged for a gap
    while l_until < p_to + interval '31 days' and exists (
        select
        from readings as r
        where r.device = l_vehicle
            and r.time > l_until - l_gap
            and r.time <= l_until
            and r.energy_mwh > 0
    ) loop
        l_until := l_until + l_gap;
    end loop;

    return query
    with history as (
        select
            r.time as at,
            r.meter,
            r.energy_mwh,
            r.battery_temp_cdeg,
            r.soc_bp,
            case when r.time - lag(r.time) over by_time <= l_gap then lag(r.soc_bp) over by_time end as soc_bp_before,
            -- how long the reading's energy took
            coalesce(nullif(r.span_ms, 0) * interval '1 millisecond', l_interval) as took
        from readings as r
        where r.device = l_vehicle
            and r.time > l_before
            and r.time <= l_until
        window by_time as (order by r.time)
    ),
    charging as (
        select
            h.*,
            lag(h.at) over by_time as charged_before,
            lag(h.at) over by_time is null
                or h.at - lag(h.at) over by_time > l_gap
                or h.meter is distinct from lag(h.meter) over by_time as is_first
        from history as h
        where h.energy_mwh > 0
        window by_time as (order by h.at)
    ),
    numbered as (
        select c.*, count(*) filter (where c.is_first) over (order by c.at) as number
        from charging as c
    ),
    runs as (
        select
            min(greatest(n.at - n.took, n.charged_before)) filter (where n.is_first) as begins,
            max(n.at) as finishes,
            min(n.meter) as meter,
            min(coalesce(n.soc_bp_before, n.soc_bp)) filter (where n.is_first) as soc_bp_from,
            (array_agg(n.soc_bp order by n.at desc))[1] as soc_bp_to,
            max(n.battery_temp_cdeg) as battery_temp_cdeg_max,
            max(n.energy_mwh * 3600 / extract(epoch from n.took))::float8 as peak_mw,
            max(n.at) = max(max(n.at)) over () and max(n.at) > least(now(), l_until) - l_gap as is_open
        from numbered as n
        group by n.number
    )
    select
        r.begins,
        r.finishes,
        m.id::text,
        r.soc_bp_from,
        r.soc_bp_to,
        r.battery_temp_cdeg_max,
        r.peak_mw,
        r.is_open
    from runs as r
    left join devices as m
        on m.device = r.meter
    where r.begins >= p_from
        and r.begins < p_to;
end;
$$;
