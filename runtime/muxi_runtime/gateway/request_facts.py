"""What an HTTP request and its MCP message say of themselves: which server, session, task and client they mean."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from muxi_runtime.gateway.caller import Origin

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mcp.server.context import ServerRequestContext
    from starlette.requests import Request

__all__ = [
    "ASKED_SERVER",
    "SESSION_HEADER",
    "TASK_HEADER",
    "client_of",
    "meta_of",
    "origin_of",
    "server_of",
    "session_of",
]

META_TASK = "muxi/task"
META_USER = "muxi/user"
"""What the user wrote: the text of their message."""
SESSION_HEADER = "mcp-session-id"
TASK_HEADER = "muxi-task"

ASKED_SERVER: ContextVar[str | None] = ContextVar("ASKED_SERVER", default=None)
"""The server of the path, for the one hook of the SDK that is given neither the request nor anything of it."""


def server_of(request: Request | None) -> str | None:
    """The one server that the client asked for by its path, `None` for all."""
    return request.path_params.get("server") if request is not None else None


def session_of(request: Request | None) -> str | None:
    """The legacy session."""
    return request.headers.get(SESSION_HEADER) if request is not None else None


def meta_of(ctx: ServerRequestContext[Any, Any]) -> Mapping[str, Any]:
    """The message's `_meta`."""
    meta = (ctx.params or {}).get("_meta")
    return meta if isinstance(meta, dict) else {}


def client_of(ctx: ServerRequestContext[Any, Any]) -> str:
    """What the client calls itself."""
    info = ctx.session.client_params.client_info if ctx.session.client_params else None
    return info.name if info else ""


def origin_of(meta: Mapping[str, Any], client: str, request: Request | None) -> Origin:
    """What tells the task that the request belongs to."""
    task = meta.get(META_TASK)
    words = meta.get(META_USER)
    headers = request.headers if request is not None else {}
    return Origin(
        task=task if isinstance(task, str) else headers.get(TASK_HEADER),
        session=headers.get(SESSION_HEADER),
        client=client[:100],
        words=words if isinstance(words, str) else "",
    )
