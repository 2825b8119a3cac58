"""The running runtime, asked over HTTP. Above: the commands. Below: `gateway.control`, checked as `/mcp` is."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any, TypeVar
from urllib.parse import quote, urlencode, urlsplit

import click

from muxi_runtime.cli.context import Invocation
from muxi_runtime.config import Settings
from muxi_runtime.errors import (
    IdentityError,
    MuxiError,
    NotRunningError,
    RefusedError,
    ServerError,
    UnknownTaskError,
)
from muxi_runtime.setup.home import running_process

__all__ = ["START", "RuntimeClient", "base_url", "refusal", "tools_option", "with_runtime"]

ANSWER_SECONDS = 30
MAX_ANSWER_BYTES = 64 * 2**20
START = "Start it with `muxi-runtime up`."
GIVE_KEY = "Give one with --key or MUXI_KEY; `muxi-runtime keys create` makes one."
ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # nosec B104  # recognised here, not bound to

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class RuntimeClient:
    """One runtime, by its base URL (no path), and the key to show it."""

    url: str
    key: str | None = None

    @property
    def mcp_url(self) -> str:
        """The endpoint that MCP clients use."""
        return f"{self.url}/mcp"

    def endpoint(self, server: str | None = None, tools: str | None = None) -> str:
        """The endpoint of one server, or of all; `tools` is `all` or `search`, `None` as the runtime is set."""
        path = f"{self.mcp_url}/{quote(server, safe='')}" if server else self.mcp_url
        return f"{path}?tools={tools}" if tools else path

    def get(self, *path: str, query: Mapping[str, str] | None = None) -> dict[str, Any]:
        """The JSON object at `/control/PATH`.

        Raises:
            NotRunningError: nothing answers.
            IdentityError: the key is missing or not taken.
            RefusedError: what was asked for is not there.
            ServerError: the runtime failed, or something else answers.
        """
        return self._ask("GET", path, query=query)

    def post(self, *path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Send a JSON object to `/control/PATH`; the one that answers. Raises as `get`."""
        return self._ask("POST", path, body=body)

    def put(self, *path: str) -> dict[str, Any]:
        """Ask to make it so. Raises as `get`."""
        return self._ask("PUT", path)

    def delete(self, *path: str, query: Mapping[str, str] | None = None) -> dict[str, Any]:
        """End what is at `/control/PATH`; raises as `get` does."""
        return self._ask("DELETE", path, query=query)

    def _ask(
        self,
        method: str,
        path: tuple[str, ...],
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        target = "/control/" + "/".join(quote(part, safe="") for part in path)
        status, text = self._exchange(method, f"{target}?{urlencode(query)}" if query else target, body)
        try:
            answer = json.loads(text)
        except (ValueError, RecursionError):
            answer = None
        if not isinstance(answer, dict):
            raise ServerError(
                f"What answers at {self.url} is not this runtime (HTTP {status}, no JSON object).",
                remedy="Check gateway.host and gateway.port in muxi.yaml, or --url.",
            )
        if status >= 400:  # noqa: PLR2004 - HTTP's first error status
            raise refusal(status, answer)
        return answer

    def _exchange(self, method: str, target: str, sent: Mapping[str, Any] | None = None) -> tuple[int, bytes]:
        parts = urlsplit(self.url)
        kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        connection = kind(parts.hostname or "", parts.port, timeout=ANSWER_SECONDS)
        headers = {"Accept": "application/json"} | ({"Authorization": f"Bearer {self.key}"} if self.key else {})
        if sent is not None:
            headers["Content-Type"] = "application/json"
        try:
            connection.request(method, target, json.dumps(sent) if sent is not None else None, headers)
            response = connection.getresponse()
            body = response.read(MAX_ANSWER_BYTES + 1)
        except OSError as error:
            raise NotRunningError(
                f"No runtime answers at {self.url} ({error.strerror or error}).", remedy=START
            ) from error
        except HTTPException as error:
            raise ServerError(f"What answers at {self.url} is not this runtime: {error!r}.") from error
        finally:
            connection.close()
        if len(body) > MAX_ANSWER_BYTES:
            raise ServerError(f"The answer from {self.url}{target} is larger than {MAX_ANSWER_BYTES} bytes.")
        return response.status, body


def tools_option(command: Callable[..., Result]) -> Callable[..., Result]:
    """Add `--tools`; the command gets `tools: str | None`."""
    option = click.option(
        "--tools", type=click.Choice(["all", "search"]), help="Be shown all tools, or two that find and call them."
    )
    return option(command)


def with_runtime(command: Callable[..., Result]) -> Callable[..., Result]:
    """Add `--url` and `--key`; the command gets `runtime: RuntimeClient`."""

    @click.option("--url", envvar="MUXI_URL", help="The runtime's address, for another machine's. [env: MUXI_URL]")
    @click.option("--key", envvar="MUXI_KEY", help="The API key; the variable keeps it out of `ps`. [env: MUXI_KEY]")
    @click.pass_context
    @functools.wraps(command)
    def wrapped(ctx: click.Context, /, *args: object, url: str | None, key: str | None, **rest: object) -> Result:
        invocation = ctx.ensure_object(Invocation)
        runtime = RuntimeClient(_checked_url(url) if url else base_url(invocation.settings()), _checked_key(key))
        return command(*args, runtime=runtime, **rest)

    return wrapped


def base_url(settings: Settings) -> str:
    """Where the runtime of this home listens: as it wrote down when it started, else as the settings say."""
    running = running_process(settings.home)
    if running is not None and running.url:
        parts = urlsplit(running.url)
        return f"{parts.scheme}://{parts.netloc}"
    host = ANY_ADDRESS.get(settings.gateway.host, settings.gateway.host)
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.gateway.port}"


def _checked_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise click.BadParameter("must be like http://host:port", param_hint="--url")
    return f"{parts.scheme}://{parts.netloc}"


def _checked_key(key: str | None) -> str | None:
    """A key that can stand in a header; anything else would be another header."""
    if key is None or key.strip() == "":
        return None
    if not (key.isascii() and key.isprintable()):
        raise IdentityError("The key holds characters that no key has.", remedy=GIVE_KEY)
    return key.strip()


def refusal(status: int, answer: dict[str, Any]) -> MuxiError:
    """The error that an answer of the runtime's stands for."""
    text = str(answer.get("error_description") or answer.get("error") or f"HTTP {status}")
    if status == 401:  # noqa: PLR2004 - HTTP's Unauthorized
        return IdentityError(text, remedy=GIVE_KEY)
    if answer.get("error") == "unknown_task":
        return UnknownTaskError(text)
    return ServerError(text) if status >= 500 else RefusedError(text)  # noqa: PLR2004 - HTTP's server errors
