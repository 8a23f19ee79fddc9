"""River pipelines built from the definition."""
