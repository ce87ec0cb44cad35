"""Ways to send readings to a service: one module for each protocol."""
