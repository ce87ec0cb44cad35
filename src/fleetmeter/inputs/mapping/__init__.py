"""Mappings: which messages of other programs become readings of which devices."""
