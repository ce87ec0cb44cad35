"""Simulates a realistic fleet, and sends its readings to a running service."""
