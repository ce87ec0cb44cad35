"""Devices and sites that stopped reporting."""
