"""Imports files of readings, in many layouts."""
