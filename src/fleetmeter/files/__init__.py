"""Readings in and out as files."""
