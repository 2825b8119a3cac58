"""Other gateways: how each is installed in a place of its own, and started in front of the echo server."""
