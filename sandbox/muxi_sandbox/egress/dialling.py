"""From a destination to a connected socket: resolved once, checked, and the checked address dialled."""

from __future__ import annotations

import errno
import os
import socket
from ipaddress import ip_address
from typing import TYPE_CHECKING

import anyio

from muxi_sandbox.egress.addresses import check_addresses
from muxi_sandbox.egress.refusal import RefusedConnectionError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from muxi_sandbox.egress.addresses import Resolver
    from muxi_sandbox.egress.settings import EgressSettings

__all__ = ["Dialler"]

MOST_ADDRESSES = 8


class Dialler:
    """Knows the operator's private hosts."""

    def __init__(self, settings: EgressSettings, resolver: Resolver) -> None:
        self._settings = settings
        self._resolver = resolver
        self._private = settings.private_hosts

    async def addresses(self, host: str, port: int) -> list[str]:
        """Where it may be dialled.

        Raises:
            RefusedConnectionError: it does not resolve, or to what is not public.
        """
        found = [host] if _is_address(host) else await self._resolve(host)
        return check_addresses(host, found, may_be_private=(host, port) in self._private)

    async def _resolve(self, host: str) -> Sequence[str]:
        try:
            with anyio.fail_after(self._settings.resolve_seconds):
                return await self._resolver.resolve(host)
        except TimeoutError:
            limit = self._settings.resolve_seconds
            raise RefusedConnectionError(
                "time", f"The name {host} was not resolved within egress.resolve_seconds of {limit:g}."
            ) from None
        except (OSError, UnicodeError) as error:
            raise RefusedConnectionError("unreachable", f"The name {host} does not resolve: {error}.") from error

    async def dial(self, addresses: Sequence[str], port: int) -> socket.socket:
        """Connect to the first that answers; the socket does not block.

        Raises:
            RefusedConnectionError: none does.
        """
        reason = "no address"
        with anyio.move_on_after(self._settings.connect_seconds) as scope:
            for address in addresses[:MOST_ADDRESSES]:
                try:
                    return await _connect(address, port)
                except OSError as error:
                    reason = f"{address}: {error.strerror or error}"
        if scope.cancelled_caught:
            limit = self._settings.connect_seconds
            raise RefusedConnectionError("time", f"No answer within egress.connect_seconds of {limit:g}.")
        raise RefusedConnectionError("unreachable", f"Port {port} cannot be reached ({reason}).")


async def _connect(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    connection = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        await _finish(connection, connection.connect_ex((address, port)))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except BaseException:
        connection.close()
        raise
    return connection


async def _finish(connection: socket.socket, result: int) -> None:
    if result == errno.EINPROGRESS:
        await anyio.wait_writable(connection)
        result = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if result:
        raise OSError(result, os.strerror(result))


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
