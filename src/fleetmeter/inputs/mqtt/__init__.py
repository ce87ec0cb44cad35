"""MQTT: readings from a broker, acknowledged once they are committed."""
