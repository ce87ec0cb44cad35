-- History as it was sent, as CSV, a page at a time: no statement lasts as long as a client takes to read it, since
-- whoever waits for the lock on a chunk that it reads would hold up all that store into it.
-- The columns of both kinds are the same; those of the other kind stay empty.

-- name: export_parts(start, end)
-- What to export one after the other.
select source, starts, ends
from export_parts(:start, :end)

-- name: begin_export()^
-- For the statements of this session: dates and numbers as export_time and export_decimal expect them, and the
-- order of an index rather than a sort of what may be millions of rows.
select
    set_config('datestyle', 'ISO', false),
    set_config('extra_float_digits', '1', false),
    set_config('enable_sort', 'off', false)

-- name: export_vehicles(start, end, vehicle_id, after_id, after_time, most)
-- A page of vehicles' readings, of one when an id is given (primary key; a compressed chunk: the index of its segments).
-- What an assignment stamped stands apart, because an import stamps again. A register's first reading has no energy.
select
    v.vehicle_id,
    case when v.meter_declared then v.meter_id end,
    export_time(v.time),
    case when v.register_mwh is null then export_decimal(v.energy_mwh, 1000000) end,
    export_decimal(v.register_mwh, 1000000),
    export_decimal(v.soc_bp, 100),
    export_decimal(v.battery_temp_cdeg, 100),
    null,
    null,
    null,
    case when not v.meter_declared then v.meter_id end,
    case when v.register_mwh is not null and v.span_ms is not null then export_decimal(v.energy_mwh, 1000000) end,
    case when v.reset then 'true' end
from vehicle_readings as v
where v.time >= :start
    and v.time < :end
    and (:vehicle_id::text is null or v.vehicle_id = :vehicle_id)
    and (
        :after_id::text is null
        or v.vehicle_id >= :after_id and (v.vehicle_id > :after_id or v.time > :after_time::timestamptz)
    )
order by v.vehicle_id, v.time
limit :most

-- name: export_meters(start, end, meter_id, after_id, after_time, most)
-- A page of meters' readings, of one when an id is given (primary key; a compressed chunk: the index of its segments).
select
    null,
    m.meter_id,
    export_time(m.time),
    null,
    null,
    null,
    null,
    case when m.register_mwh is null then export_decimal(m.energy_mwh, 1000000) end,
    export_decimal(m.register_mwh, 1000000),
    export_decimal(m.voltage_mv, 1000),
    null,
    case when m.register_mwh is not null and m.span_ms is not null then export_decimal(m.energy_mwh, 1000000) end,
    case when m.reset then 'true' end
from meter_readings as m
where m.time >= :start
    and m.time < :end
    and (:meter_id::text is null or m.meter_id = :meter_id)
    and (
        :after_id::text is null
        or m.meter_id >= :after_id and (m.meter_id > :after_id or m.time > :after_time::timestamptz)
    )
order by m.meter_id, m.time
limit :most
