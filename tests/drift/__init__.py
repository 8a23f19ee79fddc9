"""Tests of the drift processor."""
