"""Vehicles and meters: what they do, what they measure, what they report."""
