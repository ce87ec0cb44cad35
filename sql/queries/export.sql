-- History as it was sent, as CSV, a page at a time: no statement lasts as long as a client takes to read it, since
-- whoever waits for the lock on a chunk that it reads would hold up all that store into it.
-- The columns of all kinds are the same; those of the other kinds stay empty.
-- A page goes from behind one key of history (device and time) to another one; no device has the number 0.

-- name: export_parts(start, end)
-- What to export one after the other.
select starts, ends
from export_parts(:start, :end)

-- name: device_number(kind, device_id)$
-- By what history knows a device; null: nobody has named it.
select device_of(:kind, :device_id)

-- name: devices_to_export(reach_ids, reach_sites)^
-- The lowest and the highest number of the devices within reach (devices, whole); null, null when there are none.
select min(d.device) as first, max(d.device) as last
from devices as d
where within_reach(d.id, d.site, :reach_ids, :reach_sites)

-- name: begin_export()^
-- For the statements of this session: dates and numbers as export_time and export_decimal expect them; and the order of
-- an index rather than a sort of what may be millions of rows, also where the planner knows nothing of a chunk yet.
select
    set_config('datestyle', 'ISO', false),
    set_config('extra_float_digits', '1', false),
    set_config('enable_sort', 'off', false),
    set_config('enable_incremental_sort', 'off', false),
    set_config('enable_bitmapscan', 'off', false),
    set_config('enable_hashjoin', 'off', false),
    set_config('enable_mergejoin', 'off', false),
    set_config('enable_material', 'off', false)

-- name: export_page_end(start, end, after_device, last_device, after_time, most)^
-- The key of the last reading of a full page; no row: fewer are left (primary key alone; a compressed chunk: the
-- index of its segments).
select r.device, r.time
from readings as r
where r.time >= :start
    and r.time < :end
    and r.device >= :after_device
    and r.device <= :last_device
    and (r.device > :after_device or r.time > :after_time)
order by r.device, r.time
offset :most::bigint - 1
limit 1

-- name: export_page(start, end, after_device, last_device, after_time, last_time, reach_ids, reach_sites)
-- A page of readings within reach (primary key; a compressed chunk: the index of its segments), with ids by number
-- (primary key); without ids of meters that are outside the reach. What an assignment stamped stands apart, because an
-- import stamps again. A register's first reading has no energy.
select
    case when d.kind = 'vehicle' then d.id end as "vehicleId",
    case when d.kind = 'meter' then d.id when r.meter_declared then m.id end as "meterId",
    export_time(r.time) as "timestamp",
    export_time(r.interval_start) as "intervalStart",
    case
        when d.kind = 'vehicle' and r.register_mwh is null then export_decimal(r.energy_mwh, 1000000)
    end as "kwhDeliveredDc",
    case when d.kind = 'vehicle' then export_decimal(r.register_mwh, 1000000) end as "kwhDeliveredDcTotal",
    -- each measurement of vehicle: export_decimal(r.{column}, {scale}) as "{field}",
    export_decimal(r.soc_bp, 100) as "soc", export_decimal(r.battery_temp_cdeg, 100) as "batteryTemp",
    export_decimal(r.power_w, 1000) as "powerKw", export_decimal(r.odometer_m, 1000) as "odometerKm",
    export_decimal(r.reverse_mwh, 1000000) as "kwhReturnedDc",
    export_decimal(r.reverse_register_mwh, 1000000) as "kwhReturnedDcTotal",
    -- end
    case
        when d.kind = 'meter' and r.register_mwh is null then export_decimal(r.energy_mwh, 1000000)
    end as "kwhConsumedAc",
    case when d.kind = 'meter' then export_decimal(r.register_mwh, 1000000) end as "kwhConsumedAcTotal",
    -- each measurement of meter but vehicle: export_decimal(r.{column}, {scale}) as "{field}",
    export_decimal(r.voltage_mv, 1000) as "voltage", export_decimal(r.voltage_l1_mv, 1000) as "voltageL1",
    export_decimal(r.voltage_l2_mv, 1000) as "voltageL2", export_decimal(r.voltage_l3_mv, 1000) as "voltageL3",
    export_decimal(r.reverse_mwh, 1000000) as "kwhExportedAc",
    export_decimal(r.reverse_register_mwh, 1000000) as "kwhExportedAcTotal",
    -- end
    n.id as "sessionId",
    case when not r.meter_declared then m.id end as "assignedMeterId",
    case
        when r.register_mwh is not null and r.span_ms is not null then export_decimal(r.energy_mwh, 1000000)
    end as "derivedKwh",
    case when r.reset and r.span_ms is null then 'true' end as "reset",
    -- looked for only where there are any
    case
        when (select exists (select from arrival_stamps)) then (
            select export_time(a.sent_time)
            from arrival_stamps as a
            where a.device = r.device
                and a.time = r.time
        )
    end as "sentTimestamp"
from readings as r
join devices as d
    on d.device = r.device
    and within_reach(d.id, d.site, :reach_ids, :reach_sites)
left join devices as m
    on m.device = r.meter
    and within_reach(m.id, m.site, :reach_ids, :reach_sites)
left join session_ids as n
    on n.session = r.session
where r.time >= :start
    and r.time < :end
    and r.device >= :after_device
    and r.device <= :last_device
    and (r.device > :after_device or r.time > :after_time)
    and (r.device < :last_device or r.time <= :last_time)
order by r.device, r.time
