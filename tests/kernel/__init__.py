"""The kernel: dead letters and poison."""
