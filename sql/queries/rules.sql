-- Overrides of the rules' thresholds, and who changed them.

-- name: begin_rule_change(kind)!
-- One change of a rule at a time, until the end of the transaction.
select pg_advisory_xact_lock(hashtext('fleetmeter.rules.' || :kind))

-- name: overrides_of_rule(kind)
-- Every override of a rule, with the present site of a device (primary key; devices by kind and id).
select o.scope, o.target, o.parameters, d.site
from rule_overrides as o
left join devices as d
    on d.kind = o.scope
    and d.id = o.target
where o.kind = :kind

-- name: override_page(kind, after_scope, after_target, limit, reach_ids, reach_sites)
-- A page of what is set for a rule: for the fleet, and for sites and devices within reach, in the order of scopes and
-- targets (primary key).
select *
from rule_overrides
where kind = :kind
    and (scope, target) > (:after_scope, :after_target)
    and (scope = 'fleet' or subject_within_reach(scope, target, :reach_ids, :reach_sites))
order by scope, target
limit :limit

-- name: overrides_at(kinds, scope, target, site)
-- What is set for some rules where a device, a site or the fleet is, the widest scope first (primary key).
-- May be null: site.
select *
from rule_overrides
where kind = any(:kinds)
    and (
        scope = 'fleet'
        or scope = 'site' and target = :site
        or scope = :scope and target = :target
    )
order by kind, array_position(array['fleet', 'site'], scope)

-- name: site_of(kind, device_id)$
-- The site that is set for a device (index by kind and id); null: none is.
select site
from devices
where kind = :kind
    and id = :device_id

-- name: site_known(site, reach_ids, reach_sites)$
-- Whether a device belongs to a site that is within reach (index by site).
select subject_within_reach('site', :site, :reach_ids, :reach_sites)
    and exists (select from devices where site = :site)

-- name: set_override(kind, scope, target, parameters, who)!
-- Sets what a rule goes by in one place.
insert into rule_overrides (kind, scope, target, parameters, changed_by)
values (:kind, :scope, :target, :parameters, :who)
on conflict (kind, scope, target) do update
set
    parameters = excluded.parameters,
    changed_at = now(),
    changed_by = excluded.changed_by

-- name: remove_override(kind, scope, target)!
-- Lets the wider scopes decide again.
delete from rule_overrides
where kind = :kind
    and scope = :scope
    and target = :target

-- name: record_rule_change(kind, scope, target, parameters, replaced, who, note)!
-- Keeps who changed what, and what was before. May be null: replaced, note.
insert into rule_changes (kind, scope, target, parameters, replaced, changed_by, note)
values (:kind, :scope, :target, :parameters, :replaced, :who, :note)

-- name: rule_changes(kind, before, limit, reach_ids, reach_sites)
-- A page of a rule's changes for the fleet, and for sites and devices within reach, newest first (index on kind and
-- id).
select *
from rule_changes
where kind = :kind
    and (:before::bigint is null or id < :before)
    and (scope = 'fleet' or subject_within_reach(scope, target, :reach_ids, :reach_sites))
order by id desc
limit :limit
