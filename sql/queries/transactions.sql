-- Transactions of charging stations, and whom their tokens stand for.

-- name: begin_transaction(station_id, connector, meter_id, own_id, token, at, register_mwh, measures)
-- Records a start; the number of its transaction, with each change of an assignment that follows: restamp in a
-- transaction of its own after it. May be null: own_id, token, register_mwh.
select number, vehicle, vehicle_id, since, was_id, meter_id, by_number
from begin_transaction(:station_id, :connector, :meter_id, :own_id, :token, :at, :register_mwh, :measures)

-- name: finish_transaction(station_id, transaction_id, at, register_mwh, reason, connector, token, meter_id, measures)
-- Records an end, likewise; nothing if the transaction is unknown and too little is known to record it. May be null:
-- transaction_id, register_mwh, reason, connector, token, meter_id.
select number, vehicle, vehicle_id, since, was_id, meter_id, by_number
from finish_transaction(
    :station_id, :transaction_id, :at, :register_mwh, :reason, :connector, :token, :meter_id, :measures
)

-- name: transaction_record(number)^
-- One transaction (primary key); no row: there is none.
select number, transaction_id, station_id, connector, meter_id, measures, token, driver, vehicle_id, started_at,
    register_start_mwh, ended_at, register_end_mwh, reason
from transaction_records
where number = :number

-- name: number_of_transaction(station_id, transaction_id)$
-- The number of what a station calls so (index on its own id, primary key); null: it is unknown.
select (transaction_of(:station_id, :transaction_id)).number

-- name: open_transaction(station_id, connector)$
-- The number of the newest transaction at a connector that is open (index on connector and time); null: there is none.
select number
from transactions
where station_id = :station_id
    and connector = :connector
    and ended_at is null
order by at desc, number desc
limit 1
