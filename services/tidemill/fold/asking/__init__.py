"""Which cases people are asked for: those whose label would teach most, and some at random."""
