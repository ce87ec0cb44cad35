"""The live stream of anomalies and live states."""
