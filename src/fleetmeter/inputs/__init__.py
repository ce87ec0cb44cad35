"""Adapters: each knows a protocol of devices, and the door that readings go through."""
