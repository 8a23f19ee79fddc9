"""Proofs on a real broker, with real processes, at a size that ends in minutes."""
