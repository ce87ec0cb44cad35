"""Ingest: validated readings into the database."""
