"""The edge of the service: connections and request heads, bounded in bytes, count and time."""
