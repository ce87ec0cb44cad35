"""More DC delivered at a meter than it metered AC: suspected by the hour, explained by readings."""
