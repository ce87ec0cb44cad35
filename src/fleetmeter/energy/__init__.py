"""Energy accounting: from sums to answers. Pure: no I/O."""
