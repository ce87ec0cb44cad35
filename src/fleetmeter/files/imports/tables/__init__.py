"""Tables: the columns and rows of a file, whatever its format is."""
