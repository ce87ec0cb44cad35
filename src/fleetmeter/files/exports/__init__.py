"""Exports history as CSV or Parquet."""
