"""Says what the thresholds of all rules have in common, and finds those in force for a device."""
