"""One worker script per engine; each runs in an environment of its own."""
