"""Mappings: what the columns of a file mean, and the readings that its rows become."""
