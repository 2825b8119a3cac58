"""Why there is no session: for a program in a sandbox, and for a server elsewhere, whose person looks elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from muxi_runtime.errors import ServerError

if TYPE_CHECKING:
    from muxi_sandbox.contract import Sandbox

__all__ = ["handshake_failure"]


def handshake_failure(sandbox: Sandbox, reason: BaseException) -> ServerError:
    """The error for whoever wanted the session. `spec.image` is a URL where the server runs elsewhere."""
    server, image = sandbox.spec.server, sandbox.spec.image
    if "://" in image:
        return ServerError(
            f"Server {server!r} at {image} answers, but not as MCP says, or not in time: {reason}.",
            remedy="See that this is the URL of its MCP endpoint (streamable HTTP), often with /mcp at its end.",
        )
    return ServerError(
        f"Server {server!r} started but did not complete the MCP handshake: {reason}",
        remedy=f"Its standard error ends with: {sandbox.stderr_tail()[-500:] or '(nothing)'}",
    )
