"""The rules: one module decides whether one kind of anomaly is there. Pure."""
