"""Keeps the tool book filled: asks each server of the catalog what it offers, in a sandbox made for that question.

Lists are remembered by content (manifest and image), so that a second start asks nobody.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Protocol

import anyio
import anyio.to_thread

from muxi_runtime.errors import MuxiError
from muxi_runtime.gateway.upstream import Eras, Upstream, open_upstream
from muxi_sandbox.errors import SandboxError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from muxi_runtime.gateway.remote import Remotes
    from muxi_runtime.gateway.specs import SpecBook
    from muxi_runtime.gateway.tools import ToolBook
    from muxi_sandbox.contract import Backend, Spec

__all__ = ["ListCache", "Listing"]

logger = logging.getLogger(__name__)

RETRY_SECONDS = 15
AT_ONCE = 2


class ListCache(Protocol):
    """Remembers tool lists by server and content key: `catalog.pins.ToolCache`."""

    def get(self, server: str, key: str) -> Sequence[Mapping[str, Any]] | None:
        """The list, or `None` if it is not known for this content."""

    def put(self, server: str, key: str, definitions: Sequence[Mapping[str, Any]]) -> None:
        """Remember it."""


class Listing:
    """Fills the book at the start, again when a server says so, and again after a failure."""

    def __init__(
        self,
        *,
        specs: SpecBook,
        tools: ToolBook,
        backend: Backend,
        cache: ListCache,
        eras: Eras,
        remotes: Remotes,
        seconds: float,
    ) -> None:
        """`seconds` bounds a handshake, and a list."""
        self._specs = specs
        self._tools = tools
        self._backend = backend
        self._cache = cache
        self._eras = eras
        self._remotes = remotes
        self._seconds = seconds
        self._failed: set[str] = set()

    async def fill(self) -> None:
        """Ask every server once. A server that fails hides only itself."""
        limit = anyio.CapacityLimiter(AT_ONCE)
        for server in self._specs.manifests:
            self._tools.set_error(server, "its tools are being listed")
        async with anyio.create_task_group() as group:
            for server in self._specs.manifests:
                group.start_soon(self._list, server, limit)

    async def retry_failed(self) -> None:
        """Ask those that failed again, for ever."""
        while True:
            await anyio.sleep(RETRY_SECONDS)
            for server in sorted(self._failed):
                await self._list(server, anyio.CapacityLimiter(1))

    async def changed(self, upstream: Upstream) -> None:
        """A running server says that its list is another one now."""
        try:
            self._tools.set_tools(upstream.name, await upstream.list_tools(seconds=self._seconds))
        except (SandboxError, MuxiError) as error:
            logger.warning("the changed tools of %s could not be listed: %s", upstream.name, error)

    async def _list(self, server: str, limit: anyio.CapacityLimiter) -> None:
        async with limit:
            try:
                self._tools.set_tools(server, await self._known_or_asked(server))
            except (SandboxError, MuxiError) as error:
                self._failed.add(server)
                if self._tools.servers[server].error != str(error):
                    logger.warning("server %s is not offered: %s", server, error)
                self._tools.set_error(server, str(error))
            else:
                self._failed.discard(server)

    async def _known_or_asked(self, server: str) -> Sequence[Mapping[str, Any]]:
        key = self._specs.content_key(server)
        known = await anyio.to_thread.run_sync(self._cache.get, server, key) if key else None
        if known is not None:
            return known
        task = f"list-{server}"
        spec = self._specs.spec(task, server)
        if isinstance(spec, Exception):
            raise spec
        definitions = await self._ask(spec, task)
        if key:
            await self._remember(server, key, definitions)
        return definitions

    async def _remember(self, server: str, key: str, definitions: Sequence[Mapping[str, Any]]) -> None:
        try:
            await anyio.to_thread.run_sync(self._cache.put, server, key, definitions)
        except OSError as error:
            logger.warning("the tools of %s are not remembered for the next start: %s", server, error)

    async def _ask(self, spec: Spec, task: str) -> list[dict[str, Any]]:
        if self._specs.is_remote(spec.server):
            async with self._remotes.lease_session(spec) as leased:
                return await leased.session.list_tools(seconds=self._seconds)
        try:
            async with open_upstream(
                self._backend,
                spec,
                eras=self._eras,
                handshake_seconds=self._seconds,
            ) as upstream:
                return await upstream.list_tools(seconds=self._seconds)
        finally:
            with anyio.move_on_after(self._seconds, shield=True):
                await self._backend.end_task(task)
