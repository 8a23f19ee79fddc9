"""The pages that people read say what is there."""
