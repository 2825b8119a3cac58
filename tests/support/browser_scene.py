"""A runtime with the browser server, a site that it may reach, and whoever calls its tools."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import mcp_types as types
from browser_site import BrowserSite, browser_site
from mcp import Client
from running import Running, running_runtime

__all__ = ["BrowserScene", "Person", "browser_scene"]

ADDRESS = "127.0.0.9"
RESTING = {
    "name": "resting",
    "image": "build:browser",
    "command": ["python3", "-I", "-m", "muxi_servers.browser"],
    "init": False,
    "environment": {"BROWSER_IDLE_SECONDS": "1"},
    "profile": {"workspace": "write", "limits_class": "browser", "seccomp": "browser"},
}
"""The same server with less patience."""


class BrowserScene:
    """All up for the block of `browser_scene`."""

    def __init__(self, runtime: Running, site: BrowserSite) -> None:
        self.runtime = runtime
        self.site = site

    @asynccontextmanager
    async def someone(self, server: str = "browser", **options: Any) -> AsyncIterator[Person]:
        """A client; `options` are `Running.client`'s: by default all have one task, and so one Chromium."""
        async with self.runtime.client(**options) as client:
            yield Person(client, self.site, server)


@contextmanager
def browser_scene(home: Path) -> Iterator[BrowserScene]:
    """With `browser`, and `resting`, which has less patience and no network."""
    home.mkdir()
    (home / "resting.yaml").write_text(json.dumps(RESTING))
    with browser_site(ADDRESS) as site:
        servers = {"browser": {"network": {"allow": [site.place]}}, "resting": {"manifest": "resting.yaml"}}
        with running_runtime(home, {"egress": {"private": [site.place]}, "servers": servers}) as running:
            yield BrowserScene(running, site)


class Person:
    """Calls tools."""

    def __init__(self, client: Client, site: BrowserSite, server: str = "browser") -> None:
        self._client = client
        self._server = server
        self.site = site

    async def result(self, tool: str, **arguments: Any) -> types.CallToolResult:
        return await self._client.call_tool(f"{self._server}__{tool}", arguments)

    async def __call__(self, tool: str, **arguments: Any) -> dict[str, Any]:
        result = await self.result(tool, **arguments)
        assert not result.is_error, result.content
        assert result.structured_content
        return result.structured_content

    async def refusal(self, tool: str, **arguments: Any) -> str:
        result = await self.result(tool, **arguments)
        assert result.is_error, result.content
        return "\n".join(part.text for part in result.content if isinstance(part, types.TextContent))

    async def open(self, path: str, **more: Any) -> dict[str, Any]:
        return await self("open", url=f"{self.site.url}{path}", **more)

    async def reference(self, words: str) -> str:
        """Of the first line of a snapshot that has these words."""
        text = (await self("snapshot"))["text"]
        line = next(line for line in text.splitlines() if words in line and "[ref=" in line)
        return str(line.partition("[ref=")[2].partition("]")[0])

    async def files(self, tool: str, **arguments: Any) -> dict[str, Any]:
        result = await self._client.call_tool(f"files__{tool}", arguments)
        assert not result.is_error, result.content
        return dict(result.structured_content or {})
