"""The `thinking` server: a scratch pad for thoughts that build on each other."""
