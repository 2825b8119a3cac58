"""What the sandbox's proxy says when it does not connect, and what a tool says of it."""

from __future__ import annotations

import os

from muxi_servers.kit.errors import ToolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from muxi_servers.kit.client.urls import Url

__all__ = ["NetworkRefusedError", "not_let_out", "proxy_may_speak", "refusal_of"]

_MAX_TEXT = 600
_RULE = "x-muxi-rule"
_VIA = "1.1 muxi-runtime"
_PREFIX = "muxi-runtime: "


class NetworkRefusedError(ToolError):
    """The proxy does not make the connection, or does not send the request on.

    Attributes:
        rule: the proxy's, or the policy's.
    """

    def __init__(self, message: str, rule: str) -> None:
        super().__init__(message)
        self.rule = rule


def proxy_may_speak(scheme: str) -> bool:
    """Whether an answer to a request of that scheme can be the proxy's own.

    It leaves its own headers out of what hosts answer, wherever it reads that: of plain requests always, of those in a
    tunnel where the server has secrets. In any other tunnel only the host speaks, and says what it likes.
    """
    return scheme == "http" or "SSL_CERT_FILE" in os.environ


def not_let_out(server: str, url: Url) -> NetworkRefusedError:
    """This sandbox has no proxy at all."""
    return NetworkRefusedError(
        f"{url.authority} cannot be reached: no host is allowed for this server. {_how_to_allow(server, url)}",
        "profile",
    )


def refusal_of(server: str, url: Url, headers: Mapping[str, str], body: bytes) -> NetworkRefusedError | None:
    """The refusal that an answer is; `None` for a host's own answer. `headers`: names in lower case.

    To be asked only of an answer to a CONNECT, or where `proxy_may_speak`.
    """
    rule = headers.get(_RULE, "")
    if not rule or headers.get("via") != _VIA:
        return None
    told = body[:_MAX_TEXT].decode("utf-8", "replace").strip().removeprefix(_PREFIX)
    if rule == "profile":
        told = f"{url.authority} is not among the hosts that this server may reach. {_how_to_allow(server, url)}"
    return NetworkRefusedError(f"The proxy refused {url.authority}: {told}", rule[:100])


def _how_to_allow(server: str, url: Url) -> str:
    return (
        f'An operator can allow it: add "{url.host if url.port in {80, 443} else url.authority}" to '
        f"servers.{server}.network.allow in muxi.yaml, then run `muxi-runtime down` and `muxi-runtime up`."
    )
