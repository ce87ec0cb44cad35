"""Runs the rules over the hours of the fleet, and again over hours that changed."""
