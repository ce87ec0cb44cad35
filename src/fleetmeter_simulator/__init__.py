"""A fleet that behaves like one, and what sends its readings to a running service."""
