"""Mappings: say what the columns of a file mean, and turn its rows into readings."""
