"""The first bytes in a tunnel: if they are TLS, they must ask for the name that the tunnel was opened for."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING

import anyio

from muxi_sandbox.egress.names import canonical_host
from muxi_sandbox.egress.refusal import RefusedConnectionError
from muxi_sandbox.egress.relay import receive
from muxi_sandbox.egress.tls import MOST_BYTES, NotTlsError, read_hello

if TYPE_CHECKING:
    import socket

    from muxi_sandbox.egress.contract import Destination

__all__ = ["RECORD", "read_first_bytes"]

HTTPS = 443
READ_BYTES = 16 * 2**10
RECORD = b"\x16"
"""What TLS begins with."""


async def read_first_bytes(client: socket.socket, data: bytes, destination: Destination, seconds: float) -> bytes:
    """What the client sends first, once it is known to be harmless. `data` came with the request.

    Port 443 takes nothing but TLS. Elsewhere whatever does not begin as TLS passes: the operator named the port.

    Raises:
        RefusedConnectionError: with the rule `sni`, `protocol` or `time`.
        OSError: the client is gone.
    """
    try:
        with anyio.fail_after(seconds):
            return await _read(client, bytearray(data), destination)
    except TimeoutError:
        raise RefusedConnectionError(
            "time", f"Nothing was sent in the tunnel within egress.head_seconds of {seconds:g}."
        ) from None


async def _read(client: socket.socket, data: bytearray, destination: Destination) -> bytes:
    while True:
        if data and not data.startswith(RECORD) and destination.port != HTTPS:
            return bytes(data)
        try:
            hello = read_hello(bytes(data)) if data else None
        except NotTlsError as error:
            raise RefusedConnectionError("protocol", f"A tunnel to port {destination.port}: {error}.") from None
        if hello is not None:
            _check_name(hello.name, destination.host)
            return bytes(data)
        if len(data) > MOST_BYTES:
            raise RefusedConnectionError("protocol", "The first TLS message is too long.")
        more = await receive(client, READ_BYTES)
        if not more:
            raise ConnectionResetError("the client ended before it sent anything")
        data += more


def _check_name(name: str | None, host: str) -> None:
    if name is None:
        if _is_address(host):
            return
        raise RefusedConnectionError("sni", f"The TLS client in a tunnel to {host} does not say whom it wants.")
    try:
        same = canonical_host(name) == host
    except ValueError:
        same = False
    if not same:
        raise RefusedConnectionError("sni", f"The TLS client in a tunnel to {host} asks for {name[:300]!r}.")


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
