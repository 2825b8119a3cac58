"""The generator of new MCP servers."""
