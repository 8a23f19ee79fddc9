"""The demo: its scenarios, what it counts and shows, and whole runs."""
