"""States of charge that do not fit the energy."""
