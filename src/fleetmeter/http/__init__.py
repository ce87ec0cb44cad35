"""The HTTP API, one module per area. A handler parses, calls one function and presents."""
