"""OCPP-J, 1.6 and 2.0.1: a central system that meters, and leaves charging to others."""
