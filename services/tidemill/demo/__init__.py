"""The demo: a simulated plant on a real mesh, balanced and replayed at the end."""
