"""Turns the rules' findings into anomalies, and records what people do about them."""
