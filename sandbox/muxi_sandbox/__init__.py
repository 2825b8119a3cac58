"""Hardened sandboxes: one container, one MCP server, one task, used once."""
