"""Makes anomalies of what rules find, and keeps what people do about them."""
