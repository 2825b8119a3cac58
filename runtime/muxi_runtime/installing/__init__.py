"""Adding servers: from a source to an image that holds it, installed where nothing of it can do harm.

Start at `installer.py`.
"""
