"""The models: allow-list, pipelines, state and its bytes."""
