"""Tests of what is shipped for testing: the cluster, the laws, the checkers."""
