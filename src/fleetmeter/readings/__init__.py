"""Readings: what devices send, decoded and validated. Pure: no I/O."""
