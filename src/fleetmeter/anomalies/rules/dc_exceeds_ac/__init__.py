"""Finds more DC at a meter than it metered AC: suspected by the hour, explained by readings."""
