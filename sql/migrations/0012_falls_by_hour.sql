-- register_falls() tells them by the hour now: it is made again.
drop function if exists register_falls;
