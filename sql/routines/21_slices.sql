-- Returns the part of an interval's energy that a window cuts out. In plpgsql, to be called for the few that are cut:
-- inlined into a query, it would take longer to plan than everything else.
create or replace function cut_energy(
    p_energy_mwh bigint,
    p_starts timestamptz,
    p_ends timestamptz,
    p_from timestamptz,
    p_to timestamptz
)
returns bigint
language plpgsql
stable
parallel safe
as $$
begin
    return energy_within(p_energy_mwh, p_starts, p_ends, p_from, p_to);
end;
$$;

-- Returns the covered part of it, evenly distributed if others cover some of it.
create or replace function cut_ms(
    p_covered_ms bigint,
    p_starts timestamptz,
    p_ends timestamptz,
    p_from timestamptz,
    p_to timestamptz
)
returns bigint
language plpgsql
stable
parallel safe
as $$
begin
    return p_covered_ms * ms_within(p_starts, p_ends, p_from, p_to) / greatest(ms_between(p_starts, p_ends), 1);
end;
$$;

-- Returns the readings of a window (p_from, p_to] for slices_of_history(): their energy and covered time cut to the
-- window, and their measurements if they are stamped within. The planner inlines it, so that columns which are not used
-- cost nothing.
--
-- An interval that is not spread lies within one quarter hour: those that end after the window, and began within, end
-- before its last quarter hour does.
create or replace function readings_cut(p_devices integer[], p_from timestamptz, p_to timestamptz)
returns table (
    at timestamptz,
    device integer,
    meter integer,
    reset boolean,
    is_stamped_within boolean,
    energy_mwh bigint,
    covered_ms bigint,
    -- each measurement, last: {column} {type},
    soc_bp smallint, battery_temp_cdeg smallint, power_w integer, odometer_m bigint, reverse_mwh bigint,
    reverse_register_mwh bigint, voltage_mv integer, voltage_l1_mv integer, voltage_l2_mv integer,
    voltage_l3_mv integer, session integer
    -- end
)
language sql
stable
begin atomic
    select
        least(h.time, p_to) as at,
        h.device,
        h.meter,
        h.reset,
        h.time <= p_to as is_stamped_within,
        case
            when h.spread or h.span_ms is null then 0
            when w.is_whole then h.energy_mwh
            else cut_energy(h.energy_mwh, start_of(h.time, h.span_ms), h.time, p_from, p_to)
        end as energy_mwh,
        case
            when h.spread or h.span_ms is null then 0
            when w.is_whole then h.span_ms
            else cut_ms(h.span_ms, start_of(h.time, h.span_ms), h.time, p_from, p_to)
        end as covered_ms,
        -- each measurement, last: case when h.time <= p_to then h.{column} end as {column},
        case when h.time <= p_to then h.soc_bp end as soc_bp,
        case when h.time <= p_to then h.battery_temp_cdeg end as battery_temp_cdeg,
        case when h.time <= p_to then h.power_w end as power_w,
        case when h.time <= p_to then h.odometer_m end as odometer_m,
        case when h.time <= p_to then h.reverse_mwh end as reverse_mwh,
        case when h.time <= p_to then h.reverse_register_mwh end as reverse_register_mwh,
        case when h.time <= p_to then h.voltage_mv end as voltage_mv,
        case when h.time <= p_to then h.voltage_l1_mv end as voltage_l1_mv,
        case when h.time <= p_to then h.voltage_l2_mv end as voltage_l2_mv,
        case when h.time <= p_to then h.voltage_l3_mv end as voltage_l3_mv,
        case when h.time <= p_to then h.session end as session
        -- end
    from readings as h
    cross join lateral (
        select h.time <= p_to and start_of(h.time, h.span_ms) >= p_from as is_whole
    ) as w
    where (p_devices is null or h.device = any(p_devices))
        and h.time > p_from
        and h.time <= ceil_quarter(p_to)
        and (h.time <= p_to or start_of(h.time, h.span_ms) < p_to);
end;

-- Returns the slices of energy that is spread: the pieces of intervals in a window (p_from, p_to], cut to it, as rows
-- without readings or other measurements. By the primary key or, without a list of devices, the index by time. The
-- planner inlines it.
create or replace function pieces_cut(p_devices integer[], p_from timestamptz, p_to timestamptz)
returns setof quarter_hourly
language sql
stable
begin atomic
    select
        s.bucket,
        s.device,
        s.meter,
        0::bigint,
        0::bigint,
        sum(
            case
                when s.starts >= p_from and s.until <= p_to then s.energy_mwh
                else cut_energy(s.energy_mwh, s.starts, s.until, p_from, p_to)
            end
        )::bigint,
        sum(
            case
                when s.starts >= p_from and s.until <= p_to then s.covered_ms
                else cut_ms(s.covered_ms, s.starts, s.until, p_from, p_to)
            end
        )::bigint,
        -- each rollup, last: null::{type},
        null::smallint, null::smallint, null::bigint, null::bigint, null::smallint, null::smallint, null::bigint,
        null::bigint, null::integer, null::integer, null::bigint, null::bigint, null::integer, null::integer,
        null::bigint, null::bigint, null::integer, null::integer, null::bigint, null::bigint, null::integer,
        null::integer, null::bigint, null::bigint, null::integer, null::integer
        -- end
    from (
        select *, least(x.bucket - interval '1 microsecond' + interval '15 minutes', x.ends) as until
        from spread_energy as x
        where (p_devices is null or x.device = any(p_devices))
            and x.bucket > floor_quarter(p_from)
            and x.bucket <= p_to
    ) as s
    where s.until > p_from
        and s.starts < p_to
        and s.until > s.starts
    group by 1, 2, 3;
end;

-- A slice is what one device measured in one quarter hour (of a vehicle, at one meter), cut to the window (p_from,
-- p_to], with the columns of the rollup. Here it comes from history, for some devices by the primary key; without a
-- list, for all. Measurements other than energy belong to the window of the timestamp; energy is split between windows.
--
-- With p_energy_only, for whole fleets, other measurements are null: adding them up is most of the work.
create or replace function slices_of_history(
    p_devices integer[],
    p_from timestamptz,
    p_to timestamptz,
    p_energy_only boolean default false
)
returns setof quarter_hourly
language plpgsql
stable
-- planned for these times: a generic plan would include every chunk
set plan_cache_mode = force_custom_plan
as $$
begin
    if p_energy_only then
        return query
        select
            date_bin('15 minutes', r.at, '2000-01-01 00:00:00.000001+00'),
            r.device,
            r.meter,
            count(*) filter (where r.is_stamped_within),
            count(*) filter (where r.reset and r.is_stamped_within),
            coalesce(sum(r.energy_mwh), 0)::bigint,
            coalesce(sum(r.covered_ms), 0)::bigint,
            -- each rollup, last: null::{type},
            null::smallint, null::smallint, null::bigint, null::bigint, null::smallint, null::smallint, null::bigint,
            null::bigint, null::integer, null::integer, null::bigint, null::bigint, null::integer, null::integer,
            null::bigint, null::bigint, null::integer, null::integer, null::bigint, null::bigint, null::integer,
            null::integer, null::bigint, null::bigint, null::integer, null::integer
            -- end
        from readings_cut(p_devices, p_from, p_to) as r
        group by 1, 2, 3;
    else
        return query
        select
            date_bin('15 minutes', r.at, '2000-01-01 00:00:00.000001+00'),
            r.device,
            r.meter,
            count(*) filter (where r.is_stamped_within),
            count(*) filter (where r.reset and r.is_stamped_within),
            coalesce(sum(r.energy_mwh), 0)::bigint,
            coalesce(sum(r.covered_ms), 0)::bigint,
            -- each rollup, last: {of_history},
            min(soc_bp), max(soc_bp), count(battery_temp_cdeg), coalesce(sum(battery_temp_cdeg), 0)::bigint,
            min(battery_temp_cdeg), max(battery_temp_cdeg), count(power_w), coalesce(sum(power_w), 0)::bigint,
            min(power_w), max(power_w),
            count(coalesce(voltage_mv, mean_of(voltage_l1_mv, voltage_l2_mv, voltage_l3_mv))),
            coalesce(sum(coalesce(voltage_mv, mean_of(voltage_l1_mv, voltage_l2_mv, voltage_l3_mv))), 0)::bigint,
            min(coalesce(voltage_mv, mean_of(voltage_l1_mv, voltage_l2_mv, voltage_l3_mv))),
            max(coalesce(voltage_mv, mean_of(voltage_l1_mv, voltage_l2_mv, voltage_l3_mv))), count(voltage_l1_mv),
            coalesce(sum(voltage_l1_mv), 0)::bigint, min(voltage_l1_mv), max(voltage_l1_mv), count(voltage_l2_mv),
            coalesce(sum(voltage_l2_mv), 0)::bigint, min(voltage_l2_mv), max(voltage_l2_mv), count(voltage_l3_mv),
            coalesce(sum(voltage_l3_mv), 0)::bigint, min(voltage_l3_mv), max(voltage_l3_mv)
            -- end
        from readings_cut(p_devices, p_from, p_to) as r
        group by 1, 2, 3;
    end if;
    return query
    select *
    from pieces_cut(p_devices, p_from, p_to);
end;
$$;
