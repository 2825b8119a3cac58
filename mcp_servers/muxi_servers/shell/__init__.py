"""Runs shell commands, and programs in the background."""
