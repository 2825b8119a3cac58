"""An MCP server that wants tokens, before a real authorization server: `tests/node/authorization_server.mjs`."""
