"""The one way out of a sandbox: a proxy on the host, reached over a Unix socket, closed unless something opens it."""
