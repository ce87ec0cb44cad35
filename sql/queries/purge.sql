-- Removing all that is stored of one device.

-- name: kinds_of_device(device_id)^
-- Whether anything is stored of a vehicle and of a meter with that id.
select
    exists (select from purge_device('vehicle', :device_id, true)) as vehicle,
    exists (select from purge_device('meter', :device_id, true)) as meter

-- name: purge_assignments(kind, device_id)!
-- First, and in a transaction of its own: no reading that comes in is stamped by the device's assignments any more.
select purge_assignments(:kind, :device_id)

-- name: purge_device(kind, device_id, count_only)
-- Removes, or only counts, what is stored: how many rows of which relation, and what changes in others' rows.
select relation, change, stored
from purge_device(:kind, :device_id, :count_only)

-- name: purge_pairs(kind, device_id)!
-- The last step: which vehicles charged where, but for those that have done so again meanwhile.
select purge_pairs(:kind, :device_id)
