"""An MCP server with every tool, resource and prompt that the official conformance suite calls by name.

It speaks both eras. Where the suite's scenario is of one era only, the other gets what means the same there: a legacy
client is sent the questions that a modern one is answered with.
"""
