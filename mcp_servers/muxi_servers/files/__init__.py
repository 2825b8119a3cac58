"""Reads and changes files of the workspace."""
