"""Finds devices and sites that stopped reporting."""
