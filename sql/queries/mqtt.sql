-- MQTT: which process is which client of the broker.

-- name: take_mqtt_place(client_id)$
-- Takes the place of a client until the session ends; false: somebody else has it.
select pg_try_advisory_lock(hashtext('fleetmeter.mqtt'), hashtext(:client_id))

-- name: leave_mqtt_place(client_id)$
-- Leaves a place that the session has taken.
select pg_advisory_unlock(hashtext('fleetmeter.mqtt'), hashtext(:client_id))
