-- nearest_step() does what these two did
drop function if exists step_after, step_before;
