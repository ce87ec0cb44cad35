-- Corrections of readings, and the versions that they replaced.

-- name: begin_correction(kind, device_id)!
-- One change of a device's readings at a time, until the end of the transaction.
select begin_correction(:kind, :device_id)

-- name: vehicle_reading(vehicle_id, time)^
-- One reading as it stands in history (primary key).
select *
from vehicle_readings
where vehicle_id = :vehicle_id
    and time = :time

-- name: correct_vehicle_reading(vehicle_id, time, energy_mwh, soc_bp, battery_temp_cdeg, meter_id, meter_declared, who, reason)$
-- Replaces the values of one reading; the number of the version now in force.
select correct_vehicle_reading(
    :vehicle_id, :time, :energy_mwh, :soc_bp, :battery_temp_cdeg, :meter_id, :meter_declared, :who, :reason
)

-- name: replaced_vehicle_readings(vehicle_id, start, end, most)
-- The versions that corrections replaced, of the readings from start to end, both included (primary key).
select *
from replaced_vehicle_readings
where vehicle_id = :vehicle_id
    and time >= :start
    and time <= :end
order by time, version
limit :most

-- name: meter_reading(meter_id, time)^
-- One reading as it stands in history (primary key).
select *
from meter_readings
where meter_id = :meter_id
    and time = :time

-- name: correct_meter_reading(meter_id, time, energy_mwh, voltage_mv, who, reason)$
-- Replaces the values of one reading; the number of the version now in force.
select correct_meter_reading(:meter_id, :time, :energy_mwh, :voltage_mv, :who, :reason)

-- name: replaced_meter_readings(meter_id, start, end, most)
-- The versions that corrections replaced, of the readings from start to end, both included (primary key).
select *
from replaced_meter_readings
where meter_id = :meter_id
    and time >= :start
    and time <= :end
order by time, version
limit :most
