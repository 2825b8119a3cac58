"""One request of an operation and its answer, by the kit's client."""

from __future__ import annotations

from muxi_servers.openapi.request import USER_AGENT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from muxi_servers.kit.call import Call
    from muxi_servers.kit.client.exchange import Answer
    from muxi_servers.openapi.request import Request

__all__ = ["MAX_ANSWER_BYTES", "SECONDS", "exchange"]

SECONDS = 60.0
"""From the connection to the last byte."""
MAX_ANSWER_BYTES = 4 * 2**20


def exchange(call: Call, server: str, request: Request) -> Answer:
    """Send it and wait. `server` is this one's name, for what refusals advise.

    Raises:
        ToolError: there is no network, the proxy refused, or the host does not answer as HTTP has it.
    """
    from muxi_servers.kit.client import exchange as client  # noqa: PLC0415 - 6 MiB that an idle server does not need
    from muxi_servers.kit.client.errand import Errand  # noqa: PLC0415 - as above

    asked = client.Request(request.place, request.method, request.headers, request.body)
    with Errand(call, SECONDS, more="") as errand:
        return client.Exchange(server, USER_AGENT).ask(errand, asked, MAX_ANSWER_BYTES)
