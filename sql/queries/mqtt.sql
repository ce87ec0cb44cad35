-- MQTT: which process is which client of the broker.

-- name: take_mqtt_place(client_id, place)$
-- Takes a place among the clients with an id, until the session ends; false: somebody else has it.
select pg_try_advisory_lock(hashtext('fleetmeter.mqtt.' || :client_id), :place)

-- name: leave_mqtt_place(client_id, place)$
-- Leaves a place that the session has taken.
select pg_advisory_unlock(hashtext('fleetmeter.mqtt.' || :client_id), :place)
