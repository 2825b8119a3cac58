"""Sandboxes made ahead of their tasks. Start at `pool.py`."""
