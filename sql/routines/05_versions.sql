-- Deletes the versions that corrections replaced together with their readings.

create or replace function drop_old_versions()
returns void
language plpgsql
as $$
begin
    delete from replaced_readings as r
    where r.time < (select kept_since());
    delete from voided_readings as v
    where v.time < (select kept_since());
    perform drop_old_rejections();
    perform drop_old_transactions();
end;
$$;
