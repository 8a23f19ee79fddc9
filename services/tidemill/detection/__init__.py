"""Drift: when a signal, or an asset, is no longer what it was."""
