"""Devices: their live state, what is set for them, their assignments, and corrections."""
