"""Devices: live state, history, settings, assignments, exchanges, corrections and purging."""
