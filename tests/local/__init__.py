"""The embedded Kafka: its files, its faults, and the real broker."""
