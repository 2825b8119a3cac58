"""Who logs in where a scenario's server wants it, and what an operator would have set beforehand.

The scenario's authorization server asks nobody anything: it sends the browser back at once.
"""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit

import anyio
import httpx2
from gateway_harness import Gateway
from mcp import MCPError
from mcp_types import URL_ELICITATION_REQUIRED

from muxi_runtime.catalog.remote_oauth import RemoteOAuth, SecretName
from muxi_runtime.catalog.settings import RemoteAuth
from muxi_runtime.store.engine import open_store
from muxi_runtime.vault.key_file import KeyFile
from muxi_runtime.vault.settings import KEY_FILE
from muxi_runtime.vault.store import Vault

CALLBACK = "http://127.0.0.1:9/callback"
DOCUMENT = "https://conformance-test.local/client-metadata.json"
"""What the suite takes for a Client ID Metadata Document of the client's."""
MOST_LOGINS = 3
SECRET = "SUITE"
PORTS = "/proc/sys/net/ipv4/ip_local_port_range"
WELL_KNOWN = "/.well-known/oauth-protected-resource/mcp"

Result = TypeVar("Result")


class LoginFailedError(Exception):
    """It came to nothing, or is wanted again and again."""


async def as_operator(home: Path, url: str, server: str) -> dict[str, Any]:
    """Options of the gateway: where authorization servers may be, and the client that the suite has registered."""
    lowest, highest = map(int, (await anyio.Path(PORTS).read_text()).split())
    # The suite's are on ports of the kernel's choice; what is on loopback has to be allowed one by one.
    private = [f"localhost:{port}" for port in range(lowest, highest + 1)]
    context = json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT", "{}"))
    oauth = RemoteOAuth(client_metadata_url=DOCUMENT)
    if "client_secret" in context:
        engine = open_store(home)
        Vault(engine, KeyFile(home / KEY_FILE)).set(SECRET, context["client_secret"])
        engine.dispose()
        secret = SecretName(secret=SECRET)
        oauth = RemoteOAuth(client_id=context["client_id"], client_secret=secret, issuer=await _issuer(url))
    return {"private": private, "server_auth": {server: RemoteAuth(oauth=oauth)}}


async def _issuer(url: str) -> str:
    async with httpx2.AsyncClient() as http:
        parts = urlsplit(url)
        document = (await http.get(f"{parts.scheme}://{parts.netloc}{WELL_KNOWN}")).json()
    return str(document["authorization_servers"][0])


class Person:
    """Logs in at one server, as often as is bearable."""

    def __init__(self, gateway: Gateway, server: str) -> None:
        self._gateway = gateway
        self._server = server
        self._logins = 0

    async def until_let_in(self, use: Callable[[], Awaitable[Result]]) -> Result:
        """What `use` gives, after a login where it is refused for want of one."""
        while True:
            try:
                return await use()
            except MCPError as error:
                if not _wants_login(error):
                    raise
            await self.log_in()

    async def log_in(self) -> None:
        """Go where the gateway says, and bring back what comes.

        Raises:
            LoginFailedError: the gateway refuses.
        """
        self._logins += 1
        if self._logins > MOST_LOGINS:
            raise LoginFailedError("it wants one login after another")
        async with self._gateway.http() as http, httpx2.AsyncClient() as browser:
            wish = {"server": self._server, "redirect_uri": CALLBACK}
            begun = _taken(await http.post("/control/logins", json=wish))
            back = (await browser.get(begun["url"])).headers["location"]
            brought = {name: values[0] for name, values in parse_qs(urlsplit(back).query).items()}
            _taken(await http.post(f"/control/logins/{begun['login']}", json=brought))


def _wants_login(error: MCPError) -> bool:
    data = error.error.data
    return error.error.code == URL_ELICITATION_REQUIRED or (isinstance(data, dict) and data.get("kind") == "login")


def _taken(answer: httpx2.Response) -> dict[str, Any]:
    document: dict[str, Any] = answer.json()
    if answer.is_success:
        return document
    raise LoginFailedError(document["error_description"])
