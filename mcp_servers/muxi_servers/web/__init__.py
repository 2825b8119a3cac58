"""The `web` server: pages as text that a model can read, and searching."""
