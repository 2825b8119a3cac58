"""A legacy client's roots: news of them go to the legacy servers of its task, which may then ask for them.

Such a server asks outside of any call, over the client's own stream. Modern servers ask in their calls.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import mcp_types as types
from mcp import MCPError
from pydantic import ValidationError

from muxi_runtime.errors import MuxiError
from muxi_runtime.gateway.http_auth import principal_of
from muxi_runtime.gateway.request_facts import client_of, meta_of, origin_of, server_of
from muxi_runtime.journal.contract import Draft
from muxi_sandbox.errors import SandboxError

if TYPE_CHECKING:
    from mcp.server.context import ServerRequestContext
    from mcp.server.lowlevel.server import Server
    from mcp.server.session import ServerSession

    from muxi_runtime.gateway.task import Task
    from muxi_runtime.gateway.tasks import TaskRegistry
    from muxi_runtime.journal.contract import Journal

__all__ = ["Roots"]

logger = logging.getLogger(__name__)

TELL_SECONDS = 5
"""How long one server may take to be told."""


class Roots:
    """Passes on the news."""

    def __init__(self, tasks: TaskRegistry, journal: Journal, seconds: float) -> None:
        """A client may take `seconds` to answer."""
        self._tasks = tasks
        self._journal = journal
        self._seconds = seconds

    def register(self, server: Server[Any]) -> None:
        """Take clients' notifications."""
        server.add_notification_handler(
            "notifications/roots/list_changed", types.NotificationParams, self._roots_changed
        )

    async def _roots_changed(self, ctx: ServerRequestContext[Any, Any], _params: object) -> None:
        """Tell the servers that run for the client. One that starts later asks when it needs to."""
        origin = origin_of(meta_of(ctx), client_of(ctx), ctx.request)
        task = self._tasks.known(principal_of(ctx.request), origin)
        only = server_of(ctx.request)
        if task is None:
            return
        for name, owner in list(task.owners.items()):
            if only not in (None, name) or not owner.is_up:
                continue
            with anyio.move_on_after(TELL_SECONDS):
                try:
                    async with owner.use() as upstream:
                        await upstream.tell_roots_changed(partial(self._find, ctx.session, task, name))
                except (SandboxError, MuxiError) as error:
                    logger.info("server %s is not told that roots changed: %s", name, error)

    async def _find(self, session: ServerSession, task: Task, server: str) -> types.ListRootsResult | types.ErrorData:
        """The client's roots, or why it does not say them."""
        await self._journal.append(
            Draft("roots.asked", principal=str(task.principal), task=task.id, data={"server": server})
        )
        try:
            with anyio.fail_after(self._seconds):
                return await session.send_request(types.ListRootsRequest(), types.ListRootsResult)
        except TimeoutError:
            message = f"The client did not say its roots within {self._seconds:g} s."
            return types.ErrorData(code=types.REQUEST_TIMEOUT, message=message)
        except MCPError as error:
            return error.error
        except ValidationError:
            return types.ErrorData(code=types.INVALID_REQUEST, message="The client's answer is none of MCP.")
        except (anyio.ClosedResourceError, anyio.BrokenResourceError):
            return types.ErrorData(code=types.INVALID_REQUEST, message="The client is gone.")
