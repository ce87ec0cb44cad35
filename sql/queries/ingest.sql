-- The transaction of one batch: the rows are in the session's temporary tables.

-- name: store_vehicle_readings()$
-- Moves the batch into history and live state; how many readings were new.
select store_vehicle_readings()

-- name: store_meter_readings()$
-- Moves the batch into history and live state; how many readings were new.
select store_meter_readings()
