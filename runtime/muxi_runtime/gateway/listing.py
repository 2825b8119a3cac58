"""Keeps the tool book filled: asks each server of the catalog what it offers, in a sandbox made for that question.

Lists are remembered by content (manifest and image), so that a second start asks nobody; built-in servers ship
with theirs.
"""

from __future__ import annotations

import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Protocol, TypeAlias

import anyio
import anyio.to_thread

from muxi_runtime.catalog.builtin import shipped_tools
from muxi_runtime.catalog.pins import PinKind
from muxi_runtime.errors import ForwardedError, MuxiError, ServerError
from muxi_runtime.gateway.eras import Eras
from muxi_runtime.gateway.handshake import open_upstream
from muxi_runtime.gateway.offers import KINDS, PINNED
from muxi_runtime.gateway.upstream import Upstream
from muxi_runtime.journal.contract import Draft
from muxi_sandbox.errors import SandboxError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from typing import Any

    from muxi_runtime.gateway.offers import OfferBook
    from muxi_runtime.gateway.remote import Remotes
    from muxi_runtime.gateway.specs import SpecBook
    from muxi_runtime.gateway.tools import ToolBook
    from muxi_runtime.journal.contract import Journal
    from muxi_sandbox.contract import Backend, Spec
    from muxi_sandbox.pool.pool import Leased

__all__ = ["ListCache", "Listing"]

logger = logging.getLogger(__name__)

Lists: TypeAlias = "dict[str, Sequence[Mapping[str, Any]]]"
"""`tools`, and the kinds of `offers.KINDS`."""

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

    def __init__(  # noqa: PLR0913 - one for each thing that meets here
        self,
        *,
        specs: SpecBook,
        tools: ToolBook,
        offers: OfferBook,
        backend: Backend,
        cache: ListCache,
        eras: Eras,
        remotes: Remotes,
        seconds: float,
        journal: Journal,
    ) -> None:
        """`seconds` bounds a handshake, and a list."""
        self._specs = specs
        self._tools = tools
        self._offers = offers
        self._backend = backend
        self._cache = cache
        self._eras = eras
        self._remotes = remotes
        self._seconds = seconds
        self._journal = journal
        self._failed: set[str] = set()

    async def fill(self, servers: Sequence[str] | None = None) -> None:
        """Ask these servers, or all, once. A server that fails hides only itself."""
        limit = anyio.CapacityLimiter(AT_ONCE)
        asked = list(self._specs.manifests) if servers is None else servers
        for server in asked:
            self._tools.set_error(server, "its tools are being listed")
            self._offers.expect(server)
        async with anyio.create_task_group() as group:
            for server in asked:
                group.start_soon(self._list, server, limit)

    async def again(self, server: str) -> None:
        """Ask one again now, as when somebody has logged in at it. What it offered stays until it has answered."""
        if server in self._specs.manifests:
            await self._list(server, anyio.CapacityLimiter(1))

    async def retry_failed(self) -> None:
        """Ask those that failed again, for ever."""
        while True:
            await anyio.sleep(RETRY_SECONDS)
            self._failed &= self._specs.manifests.keys()
            for server in sorted(self._failed):
                await self._list(server, anyio.CapacityLimiter(1))

    async def changed(self, upstream: Upstream, kind: str) -> None:
        """A running server says that its list of `tools`, `prompts` or `resources` is another one now."""
        try:
            if upstream.name not in self._specs.manifests:
                return  # it has been removed meanwhile
            if kind == "tools":
                await self._set_tools(upstream.name, await upstream.list_tools(seconds=self._seconds))
                return
            for name in ("prompts",) if kind == "prompts" else ("resources", "templates"):
                await self._set_offers(upstream.name, name, await self._beside(upstream, name))
        except (SandboxError, MuxiError) as error:
            logger.warning("the changed %s of %s could not be listed: %s", kind, upstream.name, error)

    @asynccontextmanager
    async def lease_remote(self, spec: Spec) -> AsyncIterator[Leased[Upstream]]:
        """A session with a server elsewhere. It may be another one by now, so it is asked for its lists first.

        Raises:
            SandboxError | ServerError: it is out of reach, or does not say which tools it has.
        """
        async with self._remotes.lease_session(spec) as leased:
            found = await self._lists(leased.session)
            if spec.server in self._specs.manifests:
                await self._set_tools(spec.server, found.pop("tools"))
                for kind, definitions in found.items():
                    await self._set_offers(spec.server, kind, definitions)
            yield leased

    async def look_again(self, upstream: Upstream) -> None:
        """Before a call to a server elsewhere: one of the modern era may be exchanged without a session's end.

        Where it would tell of that, it is not asked.

        Raises:
            SandboxError | ServerError: as above.
        """
        if upstream.is_modern and upstream.watches.is_deaf and upstream.name in self._specs.manifests:
            await self._set_tools(upstream.name, await upstream.list_tools(seconds=self._seconds))

    async def _list(self, server: str, limit: anyio.CapacityLimiter) -> None:
        async with limit:
            try:
                await self._specs.note_image(server, self._backend.image_id)
                found = await self._known_or_asked(server)
                await self._set_tools(server, found.pop("tools"))
                for kind, definitions in found.items():
                    await self._set_offers(server, kind, definitions)
            except (SandboxError, MuxiError) as error:
                self._failed.add(server)
                if self._tools.servers[server].error != str(error):
                    logger.warning("server %s is not offered: %s", server, error)
                self._tools.set_error(server, str(error))
            else:
                self._failed.discard(server)

    async def _set_tools(self, server: str, definitions: Sequence[Mapping[str, Any]]) -> None:
        before = self._tools.servers[server].blocked if server in self._tools.servers else {}
        self._tools.set_tools(server, definitions)
        await self._tell_blocked(server, PinKind.TOOL, before, self._tools.servers[server].blocked)

    async def _set_offers(self, server: str, kind: str, definitions: Sequence[Mapping[str, Any]]) -> None:
        before = self._offers.blocked(server, kind)
        self._offers.put(server, kind, definitions)
        if kind in PINNED:
            await self._tell_blocked(server, PINNED[kind], before, self._offers.blocked(server, kind))

    async def _tell_blocked(
        self, server: str, kind: PinKind, before: Mapping[str, str], now: Mapping[str, str]
    ) -> None:
        for name, reason in now.items():
            if before.get(name) != reason:
                logger.warning("%s %s of server %s is blocked: %s", kind, name, server, reason)
                data = {"server": server, "kind": kind.value, "tool": name[:500], "reason": reason}
                await self._journal.append(Draft("tool.blocked", data=data))

    async def _known_or_asked(self, server: str) -> Lists:
        if self._specs.manifests[server].as_shipped and (
            shipped := await anyio.to_thread.run_sync(shipped_tools, server)
        ):
            return {"tools": shipped, **{kind: [] for kind in KINDS}}
        key = self._specs.content_key(server)
        known = await anyio.to_thread.run_sync(self._known, server, key) if key else None
        if known is not None:
            return known
        task = f"list-{server}"
        spec = self._specs.spec(task, server)
        if isinstance(spec, Exception):
            raise spec
        found = await self._ask(spec, task)
        if key:
            await self._remember(server, key, found)
        return found

    def _known(self, server: str, key: str) -> Lists | None:
        found = {kind: self._cache.get(_entry(server, kind), key) for kind in ("tools", *KINDS)}
        lists = {kind: definitions for kind, definitions in found.items() if definitions is not None}
        return lists if lists.keys() == found.keys() else None

    async def _remember(self, server: str, key: str, found: Lists) -> None:
        try:
            for kind, definitions in found.items():
                await anyio.to_thread.run_sync(self._cache.put, _entry(server, kind), key, definitions)
        except OSError as error:
            logger.warning("the tools of %s are not remembered for the next start: %s", server, error)

    async def _ask(self, spec: Spec, task: str) -> Lists:
        if self._specs.is_remote(spec.server):
            async with self._remotes.lease_session(spec.model_copy(update={"task": None})) as leased:
                return await self._lists(leased.session)
        try:
            async with open_upstream(
                self._backend,
                spec,
                eras=self._eras,
                handshake_seconds=self._seconds,
            ) as upstream:
                return await self._lists(upstream)
        finally:
            with anyio.move_on_after(self._seconds, shield=True):
                await self._backend.end_task(task)

    async def _lists(self, upstream: Upstream) -> Lists:
        tools = await upstream.list_tools(seconds=self._seconds)
        return {"tools": tools} | {kind: await self._beside(upstream, kind) for kind in KINDS}

    async def _beside(self, upstream: Upstream, kind: str) -> Sequence[Mapping[str, Any]]:
        """One list beside tools. A server that has it but does not give it is taken to have none: its tools count."""
        method, key, capability = KINDS[kind]
        if not upstream.offers(capability):
            return []
        try:
            return await upstream.list_all(method, key, seconds=self._seconds)
        except (ForwardedError, ServerError) as error:
            logger.info("%s of server %s are not offered: %s", kind, upstream.name, error)
            return []


def _entry(server: str, kind: str) -> str:
    """The cache's name for a list; a server's name holds no slash."""
    return server if kind == "tools" else f"{server}/{kind}"
