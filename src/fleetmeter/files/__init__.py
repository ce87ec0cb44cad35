"""Imports and exports of readings as files."""
