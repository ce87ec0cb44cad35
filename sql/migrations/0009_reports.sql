-- When a device reports: all the time, or only while it charges. Null: not set, taken for always.
alter table devices
    add column reports text check (reports in ('always', 'while_charging'));
