"""Keeps the service and its database in shape."""
