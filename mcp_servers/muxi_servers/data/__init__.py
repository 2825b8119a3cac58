"""The `data` server: SQL, profiles and charts over files in the workspace."""
