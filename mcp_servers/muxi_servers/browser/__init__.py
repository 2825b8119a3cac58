"""Drives Chromium for the task."""
