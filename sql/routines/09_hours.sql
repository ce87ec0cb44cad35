-- Rounds times to whole quarter hours and hours of UTC.

create or replace function floor_quarter(p_time timestamptz)
returns timestamptz
language sql
immutable
return date_bin('15 minutes', p_time, '2000-01-01 00:00:00+00');

create or replace function ceil_quarter(p_time timestamptz)
returns timestamptz
language sql
immutable
return date_bin('15 minutes', p_time + '14 minutes 59.999999 seconds', '2000-01-01 00:00:00+00');

create or replace function floor_hour(p_time timestamptz)
returns timestamptz
language sql
immutable
return date_bin('1 hour', p_time, '2000-01-01 00:00:00+00');

create or replace function ceil_hour(p_time timestamptz)
returns timestamptz
language sql
immutable
return date_bin('1 hour', p_time + '59 minutes 59.999999 seconds', '2000-01-01 00:00:00+00');
