"""Holds what several rules use: the hour they look at, state, sessions, hysteresis."""
