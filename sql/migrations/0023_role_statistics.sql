-- How many meters are of chargers, as views ask it: without, the planner expects a few, and compares each row of a
-- rollup with each of them.
create statistics devices_role on (coalesce(role, 'charger')) from devices;
analyze devices;
