"""Sends readings to a running service, as devices do."""
