"""What becomes of the findings of rules: anomalies, and what people do about them."""
