"""Runs Python, Bash and JavaScript, and keeps Python sessions."""
