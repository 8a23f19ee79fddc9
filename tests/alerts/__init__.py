"""Tests of the alerts processor."""
