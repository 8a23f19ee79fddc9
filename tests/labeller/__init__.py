"""Tests of the labeller."""
