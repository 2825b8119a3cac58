"""A call that wants a login sends its user to an address of ours, where the client can: URL elicitation.

Legacy (2025-11-25): the call is answered with the error -32042 and the address; the client makes it again when it
is told that the login is there. Modern: with `InputRequiredResult`; the client comes back once its user agreed, and the
call waits for the login. All others get the error that names the command.

Above: `front`. Below: `logins.visits`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import mcp_types as types
from mcp import UrlElicitationRequiredError

from muxi_runtime.gateway.mcp_caller import AnswerNeededError, McpCaller
from muxi_runtime.gateway.wire_errors import to_wire

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from muxi_runtime.errors import LoginNeededError
    from muxi_runtime.gateway.caller import Caller
    from muxi_runtime.gateway.logins.visits import Visit, Visits

__all__ = ["LoginAsking"]


class LoginAsking:
    """See the module."""

    def __init__(self, visits: Visits, seconds: float) -> None:
        """`seconds`: how long a call waits for its user to come back from the login."""
        self._visits = visits
        self._seconds = seconds

    async def answer(
        self, needed: LoginNeededError, caller: Caller, again: Callable[[], Awaitable[dict[str, Any]]]
    ) -> dict[str, Any]:
        """The result of the call, made `again` after the login.

        Raises:
            AnswerNeededError: a modern client has to send its user there, and come back.
            MCPError: the error that the client gets; the address may be in it.
            what `again` does.
        """
        able = caller.capabilities.get("elicitation")
        if not isinstance(able, dict) or able.get("url") is None:
            raise to_wire(needed) from needed
        if isinstance(caller, McpCaller) and caller.is_modern:
            return await self._modern(needed, caller, again)
        visit = self._visits.offer(needed, caller.principal, _teller(caller))
        if visit is None:
            raise to_wire(needed) from needed
        asked = types.ElicitRequestURLParams(
            message=_message(visit), url=self._visits.url(visit), elicitation_id=visit.number
        )
        raise UrlElicitationRequiredError([asked], str(needed)) from needed

    async def _modern(
        self, needed: LoginNeededError, caller: McpCaller, again: Callable[[], Awaitable[dict[str, Any]]]
    ) -> dict[str, Any]:
        visit = self._visits.find(caller.login) if caller.login else None
        if caller.login and caller.login_answer != "accept":
            raise to_wire(needed) from needed  # the user does not want to
        if visit is not None:
            with anyio.move_on_after(self._seconds):
                await visit.over.wait()
        if visit is not None and visit.is_done:
            return await again()
        if visit is None or visit.over.is_set():
            visit = self._visits.offer(needed, caller.principal, _nobody)
        if visit is None:
            raise to_wire(needed) from needed
        params = {"mode": "url", "message": _message(visit), "url": self._visits.url(visit)}
        raise AnswerNeededError(*caller.sent_to_log_in({"method": "elicitation/create", "params": params}, visit.id))


def _message(visit: Visit) -> str:
    return f"The server {visit.server} wants {visit.principal.user} to log in there. Open the address in your browser."


async def _nobody(_visit: Visit) -> None:
    """A modern client comes back by itself."""


def _teller(caller: Caller) -> Callable[[Visit], Awaitable[None]]:
    session = getattr(caller, "session", None)

    async def tell(visit: Visit) -> None:
        if session is None:
            return
        try:
            await session.send_elicit_complete(visit.number)
        except (anyio.ClosedResourceError, anyio.BrokenResourceError):
            return  # it has gone; who makes the call again is let in all the same

    return tell
