"""Finds what is wrong in a fleet by rules over rollups and live state, and records it."""
