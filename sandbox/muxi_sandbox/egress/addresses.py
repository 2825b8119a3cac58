"""From a name to addresses that may be dialled: resolved once, every one of them checked, none resolved again.

Not public is everything that IANA's special-purpose registries (RFC 6890) do not call globally reachable, and every
IPv6 form that carries such an IPv4 address. One address that is not public refuses the whole name: a name that mixes
both is how a check is tricked.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING, Protocol

import anyio
from anyio import to_thread

from muxi_sandbox.egress.refusal import RefusedConnectionError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["FixedResolver", "Resolver", "SystemResolver", "check_addresses", "is_public"]

Address = IPv4Address | IPv6Address

NAT64 = IPv6Network("64:ff9b::/96")
NOT_PUBLIC = tuple(
    ip_network(text)
    for text in (
        "192.0.0.0/24",  # protocol assignments; which of them are public differs between versions of Python
        "192.88.99.0/24",  # relays of 6to4, withdrawn
        "::/96",  # IPv4-compatible, withdrawn
        "64:ff9b:1::/48",  # NAT64 of a local network
        "fec0::/10",  # site-local, withdrawn
        "2001::/23",  # Teredo, ORCHID and other protocols
        "2002::/16",  # 6to4
        "3fff::/20",  # documentation
        "5f00::/16",  # segment routing
    )
)
AT_ONCE = 16


class Resolver(Protocol):
    """Asks for the addresses of a name."""

    async def resolve(self, host: str) -> Sequence[str]:
        """Its addresses, at least one.

        Raises:
            OSError: there are none, or nobody could be asked.
        """


class SystemResolver:
    """This machine's own resolver, its `/etc/hosts` included.

    Who asks for a name that is being looked up gets that answer: a package installer opens dozens of connections to one
    host at once, and name servers drop questions that come too fast. Nothing is remembered beyond that.
    """

    def __init__(self, look_up: Callable[[str], list[str]] | None = None) -> None:
        """`look_up` blocks; absent: the system's."""
        self._look_up = look_up or _look_up
        self._limiter: anyio.CapacityLimiter | None = None
        self._under_way: dict[str, _LookUp] = {}

    async def resolve(self, host: str) -> Sequence[str]:
        """See `Resolver.resolve`."""
        while host in self._under_way:
            other = self._under_way[host]
            await other.over.wait()
            if other.found:
                return other.found
            if other.error is not None:
                raise other.error.with_traceback(None)
            # Whoever asked gave up: the next one asks.
        return await self._ask(host)

    async def _ask(self, host: str) -> Sequence[str]:
        if self._limiter is None:
            self._limiter = anyio.CapacityLimiter(AT_ONCE)
        asked = self._under_way[host] = _LookUp()
        try:
            found = await to_thread.run_sync(self._look_up, host, limiter=self._limiter, abandon_on_cancel=True)
            asked.found = list(dict.fromkeys(found))
        except (OSError, UnicodeError) as error:
            asked.error = error
            raise
        finally:
            del self._under_way[host]
            asked.over.set()
        return asked.found


@dataclass(slots=True)
class _LookUp:
    """One that others may wait for."""

    over: anyio.Event = field(default_factory=anyio.Event)
    found: list[str] = field(default_factory=list)
    error: Exception | None = None


def _look_up(host: str) -> list[str]:
    answers = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return [str(address[0]) for _, _, _, _, address in answers]


class FixedResolver:
    """In memory: names that somebody wrote down."""

    def __init__(self, known: Mapping[str, Sequence[str]]) -> None:
        self._known = dict(known)

    async def resolve(self, host: str) -> Sequence[str]:
        """See `Resolver.resolve`."""
        await anyio.lowlevel.checkpoint()
        if host not in self._known:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return self._known[host]


def is_public(address: Address) -> bool:
    """Whether the whole internet could reach it."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(address.ipv4_mapped)
        if address in NAT64:
            return is_public(IPv4Address(address.packed[-4:]))
    if any(address.version == network.version and address in network for network in NOT_PUBLIC):
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def check_addresses(host: str, found: Sequence[str], *, may_be_private: bool) -> list[str]:
    """The addresses to dial, in their order.

    Args:
        host: the canonical name, or the address itself.
        found: what the resolver gave.
        may_be_private: the operator named this host and port. Even then link-local ones, where clouds keep their
            secrets, are only for who wrote the address itself; unspecified and multicast ones are for nobody.

    Raises:
        RefusedConnectionError: at least one may not be dialled.
    """
    addresses = [ip_address(text.partition("%")[0]) for text in found]
    for address in addresses:
        if may_be_private and _may_be_allowed(address, host):
            continue
        if not is_public(address):
            raise RefusedConnectionError(
                "address",
                f"{host} has the address {address}, which is not public.",
                remedy="An operator can allow it by name and port: egress.private in muxi.yaml.",
                address=str(address),
            )
    return [str(address) for address in addresses]


def _may_be_allowed(address: Address, host: str) -> bool:
    if address.is_unspecified or address.is_multicast:
        return False
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return not (mapped or address).is_link_local or str(address) == host
