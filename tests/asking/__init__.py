"""Which cases people are asked for."""
