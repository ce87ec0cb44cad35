"""Holds the rules, a module or a folder for each kind of anomaly; `catalogue` lists them. Pure."""
