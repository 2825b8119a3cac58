"""The built-in MCP servers; each runs inside a sandbox and knows nothing but `kit`."""
