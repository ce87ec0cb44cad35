-- From when on every reading is still in history. Rollups go back further; to refresh one from
-- before this time would replace it by what little is left.
create table kept_history (
    since timestamptz not null
);

insert into kept_history (since)
values ('0001-01-01 00:00:00+00');

-- These are procedures now, that commit day by day.
drop function if exists restamp_readings(text, timestamptz);
drop function if exists restamp_pending();
