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

-- name: transactions_page(start, end, meter, vehicle, station, own_id, open, at, number, limit, reach_ids, reach_sites)
-- A page of transactions whose meter or vehicle is within reach, newest first. Each filter may be null. Planned with
-- the values at hand: one meter's and one vehicle's by their indexes, what is open and what a station calls so by
-- theirs, else by the index of all by time. May be null: number.
select t.number, t.transaction_id, t.station_id, t.connector, t.meter_id, t.measures, t.token, t.driver, t.vehicle_id,
    t.started_at, t.register_start_mwh, t.ended_at, t.register_end_mwh, t.reason, t.at, w.meter_within, w.vehicle_within
from transaction_records as t
cross join lateral (
    select
        subject_within_reach('meter', t.meter_id, :reach_ids, :reach_sites) as meter_within,
        subject_within_reach('vehicle', t.vehicle_id, :reach_ids, :reach_sites) as vehicle_within
) as w
where (:start::timestamptz is null or t.at >= :start)
    and (:end::timestamptz is null or t.at < :end)
    and (:at::timestamptz is null or (t.at, t.number) < (:at, :number::integer))
    and (:meter::text is null or w.meter_within and t.meter = (select device_of('meter', :meter)))
    and (:vehicle::text is null or w.vehicle_within and t.vehicle = (select device_of('vehicle', :vehicle)))
    and (:station::text is null or w.meter_within and t.station_id = :station)
    and (
        :own_id::text is null
        or t.own_id = :own_id
        or t.own_id is null and t.number = case when :own_id ~ '^[1-9][0-9]{0,8}$' then (:own_id)::integer end
    )
    and (:open::boolean is null or (t.ended_at is null) = :open)
    and (w.meter_within or t.vehicle is not null and w.vehicle_within)
order by t.at desc, t.number desc
limit :limit

-- name: transaction_within(number, reach_ids, reach_sites)^
-- One transaction (primary key); no row: there is none whose meter or vehicle is within reach.
select t.number, t.transaction_id, t.station_id, t.connector, t.meter_id, t.measures, t.token, t.driver, t.vehicle_id,
    t.started_at, t.register_start_mwh, t.ended_at, t.register_end_mwh, t.reason, t.at, w.meter_within, w.vehicle_within
from transaction_records as t
cross join lateral (
    select
        subject_within_reach('meter', t.meter_id, :reach_ids, :reach_sites) as meter_within,
        subject_within_reach('vehicle', t.vehicle_id, :reach_ids, :reach_sites) as vehicle_within
) as w
where t.number = :number
    and (w.meter_within or t.vehicle is not null and w.vehicle_within)

-- name: set_token(token, driver, vehicle_id, since)^
-- Says whom a token stands for from a time on; since when it holds (null: always): take its transactions over after it.
-- May be null: driver, vehicle_id, since.
select nullif(since, '-infinity') as since, is_changed
from set_token(:token, :driver, :vehicle_id, :since)

-- name: take_over_transactions(token, since, all, most)
-- Brings some of a token's transactions into line with whom it stands for, or those that stood for nobody; how many,
-- with each change of an assignment that follows. May be null: since.
select taken, vehicle, vehicle_id, since, was_id, meter_id, by_number
from take_over_transactions(:token, coalesce(:since::timestamptz, '-infinity'), :all, :most)

-- name: token_holder(token)^
-- Whom a token stands for (primary key, from its end); no row: it is unknown.
select h.token, nullif(h.since, '-infinity') as since, h.driver, v.id as vehicle_id
from tokens as h
left join devices as v
    on v.device = h.vehicle
where h.token_key = lower(:token collate "C")
order by h.since desc
limit 1

-- name: token_holders(after, vehicle_id, limit, reach_ids, reach_sites)
-- A page of whom tokens stand for, in their order (primary key). May be null: vehicle_id.
select h.token_key, h.token, nullif(h.since, '-infinity') as since, h.driver, v.id as vehicle_id
from (
    select distinct on (o.token_key) o.*
    from tokens as o
    where o.token_key > :after
    order by o.token_key, o.since desc
) as h
left join devices as v
    on v.device = h.vehicle
where (:vehicle_id::text is null or v.id = :vehicle_id)
    and (
        :reach_ids::text[] is null and :reach_sites::text[] is null
        or v.id is not null and within_reach(v.id, v.site, :reach_ids, :reach_sites)
    )
order by h.token_key
limit :limit

-- name: forget_token(token)$
-- Deletes whom a token stands for; how many rows.
with forgotten as (
    delete from tokens
    where token_key = lower(:token collate "C")
    returning since
)
select count(*)
from forgotten

-- name: erase_token(token)$
-- Erases a token and its driver from transactions (index on token); how many.
with erased as (
    update transactions
    set
        token = null,
        driver = null,
        erased_at = now()
    where token_key = lower(:token collate "C")
    returning number
)
select count(*)
from erased
