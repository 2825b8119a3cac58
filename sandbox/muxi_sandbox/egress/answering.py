"""What a host answers to a plain request of a sandbox whose server has no secrets: its heads are read, its body is not.

A head goes on without what only the proxy says of itself: else a host could have it believed that the proxy refused. It
says that the connection ends, since it does: a client that kept it for another host would take for that one's answer
whatever this one still sends.

Above: `connection`. Below: `responses`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from muxi_sandbox.egress.bodies import Inbox
from muxi_sandbox.egress.channels import PlainChannel
from muxi_sandbox.egress.heads import END
from muxi_sandbox.egress.refusal import RefusedConnectionError
from muxi_sandbox.egress.relay import relay, send
from muxi_sandbox.egress.responses import ANSWER_HEAD_BYTES, CHUNKED, Response, parse_response

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

__all__ = ["relay_answer"]


async def relay_answer(
    host: socket.socket, client: socket.socket, count: Callable[[int], None], *, method: str, begin: Callable[[], None]
) -> None:
    """Until the host ends. `begin` is called before anything of it goes to the client.

    Raises:
        OSError: a side broke.
        RefusedConnectionError: a limit of bytes, or it is no answer that can be read in one way only.
    """
    inbox = Inbox(PlainChannel(host))
    is_over = False
    while not is_over:
        response = parse_response(await inbox.head(ANSWER_HEAD_BYTES, "the host's answer"), method)
        if response.is_upgrade:
            raise RefusedConnectionError("protocol", "The host goes over to another protocol unasked.")
        is_over = not response.is_informational
        head = _head(response)
        count(len(head))
        begin()
        await send(client, head)
    first = await inbox.some()
    count(len(first))
    await send(client, first)
    await relay(host, client, count)


def _head(response: Response) -> bytes:
    lines = [f"HTTP/1.1 {response.status} {response.reason}"]
    lines += [f"{name}: {value}" for name, value in response.headers]
    if not response.is_informational:
        lines += [*_framing(response), "Connection: close"]
    return "\r\n".join(lines).encode("latin-1") + END


def _framing(response: Response) -> list[str]:
    if response.length == CHUNKED:
        return ["Transfer-Encoding: chunked"]
    length = response.told_length if response.length_is_implied else str(max(response.length, 0))
    return [f"Content-Length: {length}"] if length and response.length >= 0 else []
