"""The `http` server: requests to APIs, with secrets that it never sees."""
