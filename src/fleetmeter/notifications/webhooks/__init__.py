"""Webhooks: signed messages about anomalies, delivered in order and at least once."""
