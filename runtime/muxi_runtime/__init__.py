"""The host: one MCP endpoint in front of sandboxed MCP servers, with policy and a journal."""

__version__ = "0.1.0"
