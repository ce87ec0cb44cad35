-- Removing all that is stored of one device.

-- name: kinds_of_device(kinds, device_id)
-- The kinds of device, of these, of which anything is stored with that id.
select kind
from unnest(:kinds::text[]) as kind
where exists (select from purge_device(kind, :device_id, true))

-- name: purge_assignments(kind, device_id)!
-- First, and in a transaction of its own: no reading that comes in is stamped by the device's assignments any more.
select purge_assignments(:kind, :device_id)

-- name: purge_device(kind, device_id, count_only)
-- Removes, or only counts, what is stored: how many rows of which relation, and what changes in others' rows.
select relation, change, stored
from purge_device(:kind, :device_id, :count_only)

-- name: forget_device(kind, device_id)!
-- The last step: which vehicles charged where, and the device, but for what has come in again meanwhile.
select forget_device(:kind, :device_id)
