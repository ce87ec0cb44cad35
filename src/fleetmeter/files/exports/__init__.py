"""History out of the database, as CSV or Parquet."""
