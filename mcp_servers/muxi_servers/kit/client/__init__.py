"""HTTP requests to hosts that the operator allowed: for servers that speak to hosts themselves.

Above it: the servers `web`, `http` and `openapi`. Below it: `http.client` and `ssl` of the standard library, and the
sandbox's proxy, which is the only way out. Nothing here but `urls` is imported before a tool is called: these modules
cost 6 MiB.

`urls` (what may be asked for), `errand` (the time of one call, and what is open in it), `tunnel` (a connection through
the proxy), `exchange` (a request and its answer), `decoding` (compressed bodies), `refusals` (what the proxy says).
"""
