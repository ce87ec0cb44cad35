"""The HTTP API, one module per area: parse, call, present."""
