"""The rules of the transactional runtime, each on a real broker."""
