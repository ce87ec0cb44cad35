"""Anomalies: rules over rollups and live state, what becomes of what they find, and who is told."""
