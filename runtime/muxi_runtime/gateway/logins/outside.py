"""HTTP to where a server elsewhere, or its metadata, says: never to what only this machine can reach.

A server that is hostile names any address it likes as its authorization server. So: https, or http on loopback; the
name is resolved once, every address checked as those of sandboxes are (`egress.addresses`), and a checked one dialled.
What is not public needs `egress.private`, loopback too. Only the server's own origin is as the operator set it.
Redirects are followed within the origin, and only for what is read. Answers end: in bytes and in time.
"""

from __future__ import annotations

import json
import ssl
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import anyio
import httpx2

from muxi_runtime.errors import LoginError
from muxi_runtime.identity.oauth.settings import is_safe_url
from muxi_sandbox.egress.names import canonical_host
from muxi_sandbox.egress.refusal import RefusedConnectionError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from muxi_sandbox.egress.dialling import Dialler

__all__ = ["Answer", "Outside", "origin_of"]

SECONDS = 20
"""For one request, its redirects among it."""
CONNECT_SECONDS = 10
MAX_BYTES = 2**20
MOST_REDIRECTS = 3
MOST_ADDRESSES = 4
PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back.

    Attributes:
        url: where from, after redirects.
        headers: as HTTP has them, without regard to capitals.
    """

    status: int
    url: str
    headers: httpx2.Headers
    body: bytes

    def document(self) -> dict[str, Any]:
        """The JSON object that it holds; an empty one if it holds none."""
        try:
            found = json.loads(self.body)
        except (ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}


class Outside:
    """Asks; see the module."""

    def __init__(self, dialler: Dialler) -> None:
        self._dialler = dialler

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        return ssl.create_default_context()

    async def get(self, url: str, *, own: str, headers: Mapping[str, str] | None = None) -> Answer:
        """What is there. `own` is the URL of the server that this is about.

        Raises:
            LoginError: it may not be asked, or does not answer as it should.
        """
        return await self._ask(
            httpx2.Request("GET", url, headers={"Accept": "application/json", **(headers or {})}), own
        )

    async def post_form(self, url: str, fields: Mapping[str, str], *, own: str, headers: Mapping[str, str]) -> Answer:
        """Send a form; no redirect is followed. Raises as `get`."""
        sent = {"Accept": "application/json", **headers}
        return await self._ask(httpx2.Request("POST", url, data=dict(fields), headers=sent), own)

    async def post_json(
        self, url: str, document: Mapping[str, Any], *, own: str, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Send JSON; no redirect is followed. Raises as `get`."""
        sent = {"Accept": "application/json", **(headers or {})}
        return await self._ask(httpx2.Request("POST", url, json=dict(document), headers=sent), own)

    async def _ask(self, request: httpx2.Request, own: str) -> Answer:
        try:
            with anyio.fail_after(SECONDS):
                return await self._follow(request, own)
        except TimeoutError:
            raise _failed(str(request.url), f"it did not answer within {SECONDS} s") from None
        except RefusedConnectionError as error:
            raise _failed(str(request.url), str(error), error.remedy) from error
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError) as error:
            raise _failed(str(request.url), str(error) or type(error).__name__) from error

    async def _follow(self, request: httpx2.Request, own: str) -> Answer:
        for _ in range(MOST_REDIRECTS + 1):
            answer, further = await self._exchange(request, own)
            if further is None or request.method != "GET":
                return answer
            request = further
        raise _failed(str(request.url), "it redirects again and again")

    async def _exchange(self, request: httpx2.Request, own: str) -> tuple[Answer, httpx2.Request | None]:
        """One request, and the one that a redirect within its origin asks for."""
        url = str(request.url)
        if not is_safe_url(url):
            raise _failed(url, "only https is asked, or http on loopback")
        for number, address in enumerate(addresses := await self._addresses(url, own)):
            try:
                return await self._send(request, address)
            except httpx2.ConnectError:
                if number == len(addresses) - 1:
                    raise
        raise _failed(url, "it has no address")

    async def _addresses(self, url: str, own: str) -> Sequence[str]:
        if origin_of(url) == origin_of(own):
            return ("",)  # the operator named it: as for the server itself, whatever the name stands for
        _, host, port = origin_of(url)
        return (await self._dialler.addresses(canonical_host(host), port))[:MOST_ADDRESSES]

    async def _send(self, request: httpx2.Request, address: str) -> tuple[Answer, httpx2.Request | None]:
        sent = httpx2.Request(request.method, request.url, headers=request.headers, content=request.content)
        sent.extensions = {"timeout": httpx2.Timeout(SECONDS, connect=CONNECT_SECONDS).as_dict()}
        if address:
            # The checked address is dialled; Host, TLS's name and the certificate's are still the URL's.
            sent.extensions["sni_hostname"] = request.url.host
            sent.url = request.url.copy_with(host=address)
        # A transport of its own each time: no connection and no cookie of one server's serves another.
        async with httpx2.AsyncHTTPTransport(verify=self._tls, trust_env=False) as transport:
            response = await transport.handle_async_request(sent)
            response.request = request
            body = await _read(response)
        answer = Answer(response.status_code, str(request.url), response.headers, body)
        return answer, _further(response)


def origin_of(url: str) -> tuple[str, str, int]:
    """Scheme, host and port."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or PORTS.get(parts.scheme, 0)


async def _read(response: httpx2.Response) -> bytes:
    body = b""
    async for part in response.aiter_bytes():
        body += part
        if len(body) > MAX_BYTES:
            raise httpx2.ReadError(f"the answer has more than {MAX_BYTES} bytes")
    return body


def _further(response: httpx2.Response) -> httpx2.Request | None:
    if not response.has_redirect_location:
        return None
    request = response.request
    location = request.url.join(response.headers["location"])
    if origin_of(str(location)) != origin_of(str(request.url)):
        return None
    return httpx2.Request(request.method, location, headers={"Accept": request.headers.get("accept", "*/*")})


def _failed(url: str, why: str, remedy: str = "") -> LoginError:
    parts = urlsplit(url)
    shown = f"{parts.scheme}://{parts.hostname or ''}{f':{parts.port}' if parts.port else ''}{parts.path}"[:300]
    return LoginError(f"{shown} cannot be asked: {why.rstrip('.')}.", remedy=remedy)
