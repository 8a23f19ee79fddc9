"""One folder per processor; they share topics, never code."""
