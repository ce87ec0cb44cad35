-- Charging sessions, derived from one vehicle's readings: runs of readings with energy, split where none
-- came for longer than the gap of accounting (but at least one and a half reporting intervals), or where the
-- meter changed.
--
-- A session belongs to the window that it begins in, and is given whole, so that neighbouring windows have
-- each session once. It begins where the energy of its first reading did: at the reading before, or its
-- reporting interval earlier when that was not received (a gap earlier at most, for a register). Reads history by the
-- primary key, from a gap before the window up to the end of the last session; one that goes on for a month
-- after the window is given up to there, and open.
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
    l_interval constant interval := make_interval(
        secs => coalesce(
            (select s.reporting_interval_s from vehicle_settings as s where s.vehicle_id = p_vehicle),
            (select a.reporting_interval_s from accounting as a)
        )
    );
    l_gap constant interval := greatest(
        (select make_interval(secs => a.session_gap_s) from accounting as a),
        l_interval * 1.5
    );
    l_before constant timestamptz := p_from - l_gap - l_gap;
    l_until timestamptz := p_to + l_gap;
begin
    -- on to where nothing was charged for a gap
    while l_until < p_to + interval '31 days' and exists (
        select
        from vehicle_readings as r
        where r.vehicle_id = p_vehicle
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
            r.meter_id,
            r.energy_mwh,
            r.battery_temp_cdeg,
            r.soc_bp,
            case when r.time - lag(r.time) over by_time <= l_gap then lag(r.soc_bp) over by_time end as soc_bp_before,
            -- how long the reading's energy took
            case
                when r.span_ms > 0 then r.span_ms * interval '1 millisecond'
                when r.time - lag(r.time) over by_time <= l_gap then r.time - lag(r.time) over by_time
                else l_interval
            end as took,
            lag(r.time) over by_time as before
        from vehicle_readings as r
        where r.vehicle_id = p_vehicle
            and r.time > l_before
            and r.time <= l_until
        window by_time as (order by r.time)
    ),
    charging as (
        select
            h.*,
            lag(h.at) over by_time is null
                or h.at - lag(h.at) over by_time > l_gap
                or h.meter_id is distinct from lag(h.meter_id) over by_time as is_first
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
            min(greatest(n.at - least(n.took, l_gap), n.before)) filter (where n.is_first) as begins,
            max(n.at) as finishes,
            min(n.meter_id) as meter_id,
            min(coalesce(n.soc_bp_before, n.soc_bp)) filter (where n.is_first) as soc_bp_from,
            (array_agg(n.soc_bp order by n.at desc))[1] as soc_bp_to,
            max(n.battery_temp_cdeg) as battery_temp_cdeg_max,
            max(n.energy_mwh * 3600 / extract(epoch from n.took))::float8 as peak_mw,
            max(n.at) = max(max(n.at)) over () and max(n.at) > least(now(), l_until) - l_gap as is_open
        from numbered as n
        group by n.number
    )
    select *
    from runs as r
    where r.begins >= p_from
        and r.begins < p_to;
end;
$$;
