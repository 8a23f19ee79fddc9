"""A mesh of real processes on a real broker, disturbed on purpose and held against plain River."""
