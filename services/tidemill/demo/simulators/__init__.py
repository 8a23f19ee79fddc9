"""Simulated plants: each a pure generator of what happens, equal for equal seeds."""
