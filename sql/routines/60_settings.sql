-- What is set for devices and for the accounting of the fleet. Hours that were accounted for by another reporting
-- interval or tolerance are struck out, and accounted for again.

create or replace function set_vehicle(
    p_vehicle text,
    p_label text,
    p_site text,
    p_reporting_interval_s integer,
    p_time_zone text,
    p_battery_capacity_wh bigint,
    p_register_rollover_mwh bigint
)
returns void
language plpgsql
as $$
begin
    if p_reporting_interval_s is distinct from (
        select s.reporting_interval_s
        from vehicle_settings as s
        where s.vehicle_id = p_vehicle
    ) then
        -- an hour that is being accounted for at this moment is waited for
        perform
        from accounting
        for update;
        delete from accounted_hours;
    end if;
    insert into vehicle_settings
    values (
        p_vehicle, p_label, p_site, p_reporting_interval_s, p_time_zone, p_battery_capacity_wh, p_register_rollover_mwh
    )
    on conflict (vehicle_id) do update
    set
        label = excluded.label,
        site = excluded.site,
        reporting_interval_s = excluded.reporting_interval_s,
        time_zone = excluded.time_zone,
        battery_capacity_wh = excluded.battery_capacity_wh,
        register_rollover_mwh = excluded.register_rollover_mwh;
end;
$$;

create or replace function set_meter(
    p_meter text,
    p_label text,
    p_site text,
    p_reporting_interval_s integer,
    p_time_zone text,
    p_rated_power_w bigint,
    p_register_rollover_mwh bigint
)
returns void
language plpgsql
as $$
begin
    if p_reporting_interval_s is distinct from (
        select s.reporting_interval_s
        from meter_settings as s
        where s.meter_id = p_meter
    ) then
        -- an hour that is being accounted for at this moment is waited for
        perform
        from accounting
        for update;
        delete from accounted_hours;
    end if;
    insert into meter_settings
    values (p_meter, p_label, p_site, p_reporting_interval_s, p_time_zone, p_rated_power_w, p_register_rollover_mwh)
    on conflict (meter_id) do update
    set
        label = excluded.label,
        site = excluded.site,
        reporting_interval_s = excluded.reporting_interval_s,
        time_zone = excluded.time_zone,
        rated_power_w = excluded.rated_power_w,
        register_rollover_mwh = excluded.register_rollover_mwh;
end;
$$;

create or replace function configure_accounting(
    p_reporting_interval_s integer,
    p_coverage_tolerance double precision,
    p_session_gap_s integer
)
returns void
language plpgsql
as $$
begin
    perform
    from accounting
    for update;
    if exists (
        select
        from accounting as a
        where a.reporting_interval_s <> p_reporting_interval_s
            or a.least_match <> 1 - p_coverage_tolerance
    ) then
        delete from accounted_hours;
    end if;
    update accounting as a
    set
        reporting_interval_s = p_reporting_interval_s,
        least_match = 1 - p_coverage_tolerance,
        session_gap_s = p_session_gap_s;
end;
$$;
