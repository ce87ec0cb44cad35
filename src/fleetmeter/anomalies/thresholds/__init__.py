"""Defines what all thresholds have in common, and finds those in force for a device."""
