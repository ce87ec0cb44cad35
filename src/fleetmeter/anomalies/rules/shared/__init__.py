"""What several rules use: the hour they look at, state between hours, sessions, hysteresis."""
