"""Files of readings, in many layouts, into the database."""
