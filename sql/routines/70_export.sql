-- How an export writes values as text: plain expressions, which the planner inlines.

-- Returns a fixed-point integer of p_unit-ths as an exact decimal: 1200000 of 1000000 is 1.2, and 72 of 1 would be
-- 72.0. The shortest text of the nearest double is exact for everything that fits (15 digits and more) and costs half
-- of what numeric does; but a double writes values below 0.0001 with an exponent.
create or replace function export_decimal(p_value bigint, p_unit bigint)
returns text
language sql
stable
parallel safe
return case
    when p_value % p_unit = 0 then (p_value / p_unit)::text || '.0'
    when abs(p_value) < p_unit / 10000 then trim_scale(p_value::numeric / p_unit)::text
    else (p_value / p_unit::double precision)::text
end;

-- Returns a time as RFC 3339 in UTC, with a fraction only if there is one. Needs the date style that begin_export sets.
create or replace function export_time(p_time timestamptz)
returns text
language sql
stable
parallel safe
return replace((p_time at time zone 'UTC')::text, ' ', 'T') || 'Z';
