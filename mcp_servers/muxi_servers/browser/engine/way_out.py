"""Why a host cannot be reached, from the one who knows: the proxy of the sandbox."""

from __future__ import annotations

import asyncio
import os
from urllib.parse import urlsplit

from muxi_servers.kit.client.refusals import proxy_may_speak

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["NO_NETWORK", "is_refusal", "proxy_address", "why_refused"]

NO_NETWORK = (
    "This sandbox has no network. An operator can allow hosts: servers.browser.network.allow in muxi.yaml, "
    "as in `network: {allow: [example.com]}`."
)
_SECONDS = 10.0
_MAX_BYTES = 8192
_RULE = "x-muxi-rule"
_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}


def proxy_address() -> str:
    """The URL of the proxy; empty where there is no network."""
    return os.environ.get("HTTPS_PROXY", "")


def is_refusal(response: Any) -> bool:  # noqa: ANN401 - Playwright's
    """Whether an answer is the proxy's own. In a tunnel that it does not read along a host could say the same."""
    return _RULE in response.headers and proxy_may_speak(urlsplit(response.url).scheme)


async def why_refused(url: str) -> str:
    """What the proxy says against a connection to the URL's host; empty if it makes one.

    Asked for by a request of its own, because a page can say anything, and Chromium does not tell what a proxy said.
    """
    parts, proxy = urlsplit(url), urlsplit(proxy_address())
    port = parts.port or _PORTS.get(parts.scheme, 0)
    if not proxy.hostname or not parts.hostname or not port:
        return ""
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    try:
        async with asyncio.timeout(_SECONDS):
            return _reason(await _ask(proxy.hostname, proxy.port or 80, f"{host}:{port}"))
    except (OSError, TimeoutError, UnicodeError):
        return "The way out of the sandbox does not answer."


async def _ask(proxy: str, port: int, place: str) -> str:
    reader, writer = await asyncio.open_connection(proxy, port)
    try:
        writer.write(f"CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n\r\n".encode())
        await writer.drain()
        answer = b""
        # A tunnel that is there stays open and says nothing; a refusal ends with the connection.
        while len(answer) < _MAX_BYTES and not _is_tunnel(answer):
            more = await reader.read(_MAX_BYTES)
            if not more:
                break
            answer += more
        return answer.decode("utf-8", "replace")
    finally:
        writer.close()


def _is_tunnel(answer: bytes) -> bool:
    return b"\r\n\r\n" in answer and answer.partition(b" ")[2].startswith(b"2")


def _reason(answer: str) -> str:
    if _is_tunnel(answer.encode()):
        return ""
    body = answer.partition("\r\n\r\n")[2]
    return body.strip().removeprefix("muxi-runtime: ") or "The way out of the sandbox refused it."
