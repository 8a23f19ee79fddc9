"""Tidemill: a mesh of stream processors that predict, learn and can be replayed to the bit."""
