"""The database: the pool, the named queries, the migrations, and the embedded server."""
