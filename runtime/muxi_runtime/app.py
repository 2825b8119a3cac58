"""The composition root: settings in, a running system out. The only place that picks concrete parts.

async with open_runtime(settings) as runtime:     # everything but the socket
    ...
await serve(settings)                             # that, behind HTTP, until SIGTERM or SIGINT
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

import anyio
from anyio import to_thread
from starlette.types import ASGIApp

from muxi_runtime.catalog.catalog import Catalog
from muxi_runtime.catalog.pin_book import PinBook
from muxi_runtime.catalog.pin_store import PinStore
from muxi_runtime.catalog.tool_cache import ToolCache
from muxi_runtime.config import Settings, read_catalog
from muxi_runtime.gateway.answer_stream import AnswerStreams
from muxi_runtime.gateway.call import Door
from muxi_runtime.gateway.control import Control
from muxi_runtime.gateway.egress import EgressGate
from muxi_runtime.gateway.eras import Eras
from muxi_runtime.gateway.front import Front
from muxi_runtime.gateway.host_server import HOST, HostServer
from muxi_runtime.gateway.http import build_app, build_session_manager
from muxi_runtime.gateway.http_auth import KeyBackend
from muxi_runtime.gateway.kept import KeptTask, KeptTasks, take_over
from muxi_runtime.gateway.kept_files import KeptFiles
from muxi_runtime.gateway.listener import listen, serve_http, url_of
from muxi_runtime.gateway.listing import Listing
from muxi_runtime.gateway.offers import OfferBook
from muxi_runtime.gateway.owner import Owner
from muxi_runtime.gateway.reload import LiveCatalog, Reloader
from muxi_runtime.gateway.remote import Remotes
from muxi_runtime.gateway.specs import SpecBook
from muxi_runtime.gateway.tasks import TaskRegistry
from muxi_runtime.gateway.tools import ToolBook
from muxi_runtime.gateway.upstream import Upstream, open_session
from muxi_runtime.gateway.wishes import pool_check, pool_wishes
from muxi_runtime.gateway.workspace_routes import WorkspaceRoutes
from muxi_runtime.identity.keys import KeyStore
from muxi_runtime.journal.contract import Draft, Journal
from muxi_runtime.journal.sqlite import SqliteJournal
from muxi_runtime.policy.cedar import CedarPolicy
from muxi_runtime.setup.proof import check_runtimes, demand_proof, prove_all, runtimes_of, store_proofs
from muxi_runtime.store.engine import database_path, open_store
from muxi_runtime.store.installation import installation_id
from muxi_sandbox.contract import Backend, BackendHealth, Check, KeptSandbox, Sandbox
from muxi_sandbox.docker.backend import DockerBackend
from muxi_sandbox.docker.images import ImageStore
from muxi_sandbox.egress.proxy import EgressProxy
from muxi_sandbox.errors import ImageMissingError
from muxi_sandbox.pool.pool import Pool
from muxi_sandbox.workspaces.snapshots import SnapshotStore

__all__ = ["Runtime", "open_runtime", "serve"]

logger = logging.getLogger(__name__)


class OpenBackend(Backend, AbstractAsyncContextManager["Backend"], Protocol):
    """A backend that is entered before it is used, as all are."""


@dataclass(slots=True)
class Runtime:
    """What a running system is made of, for the HTTP server and for tests.

    Attributes:
        app: the ASGI application; it works inside `open_runtime` only.
        url: where it is reached, set once it listens.
    """

    app: ASGIApp
    backend: Backend
    journal: Journal
    tasks: TaskRegistry
    tools: ToolBook
    keys: KeyStore
    pool: Pool[Upstream]
    url: str = field(default="")


async def serve(settings: Settings, *, ready: Callable[[str], None] = lambda _url: None) -> None:
    """Run until SIGTERM or SIGINT; `ready` is called with the URL once requests are answered.

    Raises:
        SetupError: the port is taken, or the state folder cannot be used.
        SandboxError: no engine answers.
        ConfigError: a policy or manifest cannot be used.
    """
    async with listen(settings.gateway) as socket, open_runtime(settings) as runtime:
        runtime.url = url_of(settings.gateway, socket)
        await runtime.journal.append(Draft("runtime.started", data={"url": runtime.url}))
        await serve_http(runtime.app, socket, ready=partial(ready, runtime.url))
        await runtime.journal.append(Draft("runtime.stopped"))


@asynccontextmanager
async def open_runtime(settings: Settings, *, backend: OpenBackend | None = None) -> AsyncIterator[Runtime]:
    """Everything but the socket: state, engine, tools listed, tasks. Leaving it ends every sandbox.

    `backend` stands in for the Docker engine that the settings name; it is entered here.
    """
    installation = await to_thread.run_sync(installation_id, settings.home)
    store = await to_thread.run_sync(open_store, settings.home)
    live = LiveCatalog(await to_thread.run_sync(read_catalog, settings))
    policy = await to_thread.run_sync(CedarPolicy.load, settings.policy)
    images = await _images(settings) if backend is None else {}
    try:
        async with SqliteJournal(database_path(settings.home), settings.journal) as journal:
            gate = EgressGate(policy=policy, journal=journal, built_in=live.is_built_in)
            egress = EgressProxy(settings.egress, gate)
            async with backend or DockerBackend(settings.engine, installation, egress=egress) as entered:
                kept = KeptTasks(store)
                snapshots = SnapshotStore(settings.home / "snapshots", settings.snapshots)
                await to_thread.run_sync(snapshots.sweep)
                left = await to_thread.run_sync(kept.all)
                for task in left:
                    entered.spare(task.id, task.sandboxes)
                await _reap(entered, journal)
                if backend is None:
                    await _prove(entered, settings, live.now, images, journal)
                parts = _Parts(settings, live, entered, journal, images, installation, gate, kept, snapshots, left)
                async with parts.running(KeyStore(store), PinStore(store), policy) as runtime:
                    yield runtime
    finally:
        store.dispose()


async def _images(settings: Settings) -> Mapping[str, str | None]:
    async with ImageStore(settings.engine) as images:
        return {name: await images.find(name) for name in images.names}


async def _reap(backend: Backend, journal: Journal) -> None:
    """What a crash left behind goes before anything new comes."""
    count = await backend.reap()
    if count:
        logger.warning("removed %d sandboxes and workspaces that an earlier runtime left behind", count)
        await journal.append(Draft("sandbox.reaped", data={"count": count}))


async def _prove(
    backend: Backend, settings: Settings, catalog: Catalog, images: Mapping[str, str | None], journal: Journal
) -> None:
    """Nothing is served by sandboxes that were not seen to hold."""
    known = (await backend.health()).runtimes
    proofs = await prove_all(backend, images, runtimes_of(catalog.servers.values(), known))
    where = await to_thread.run_sync(store_proofs, settings.home, proofs)
    await demand_proof(proofs, settings.engine.accept_failed_probes, journal, where)


@dataclass(slots=True)
class _Parts:
    """Wires the gateway together; each line of `running` is one part and what it needs."""

    settings: Settings
    live: LiveCatalog
    backend: Backend
    journal: Journal
    images: Mapping[str, str | None]
    installation: str
    gate: EgressGate
    kept: KeptTasks
    snapshots: SnapshotStore
    left: Sequence[KeptTask]
    tools: ToolBook = field(init=False)
    offers: OfferBook = field(default_factory=OfferBook)
    eras: Eras = field(default_factory=Eras)

    @asynccontextmanager
    async def running(self, keys: KeyStore, store: PinStore, policy: CedarPolicy) -> AsyncIterator[Runtime]:
        gateway = self.settings.gateway
        specs = SpecBook(self.live.now.servers, self._image)
        pins = await to_thread.run_sync(
            partial(PinBook, store, is_trusted=self._needs_no_pins, was_added=specs.was_added, identity=specs.identity)
        )
        self.tools = ToolBook(pins.judge)
        warm = partial(open_session, eras=self.eras, handshake_seconds=gateway.handshake_seconds)
        adopted = partial(open_session, eras=self.eras, handshake_seconds=gateway.handshake_seconds, adopted=True)
        remotes = Remotes(self.tools.input_schema, warm)
        listing = self._listing(specs, remotes)
        async with (
            Pool(self.backend, warm, self.settings.pool) as pool,
            TaskRegistry(
                backend=self.backend,
                journal=self.journal,
                settings=gateway,
                own=partial(self._owner, specs, listing, pool, remotes, adopted),
                kept=self.kept,
                kept_files=KeptFiles(self.backend, self.snapshots),
            ) as tasks,
        ):
            tasks.restore(self.left)
            self.gate.principal_of = tasks.principal_of
            host = HostServer(tasks)
            door = Door(
                tools=self.tools,
                tasks=tasks,
                policy=policy,
                journal=self.journal,
                host=host,
                built_in=self._is_built_in,
                settings=gateway,
            )
            front = Front(
                door=door,
                tools=self.tools,
                offers=self.offers,
                question_seconds=gateway.question_seconds,
                mode=gateway.tools,
            )
            self.tools.set_tools(HOST, host.definitions)
            for name, problem in self.live.now.problems.items():
                self.tools.set_error(name, str(problem))
            await listing.fill()

            def refill() -> None:
                pool.want(pool_wishes(specs, self.settings.servers, self.settings.pool))

            refill()
            reloader = Reloader(
                read=partial(read_catalog, self.settings),
                live=self.live,
                specs=specs,
                tools=self.tools,
                offers=self.offers,
                tasks=tasks,
                listing=listing,
                eras=self.eras,
                pins=pins,
                refill=refill,
            )
            async with self._serving(front, listing, tasks, specs, keys, pool, reloader) as runtime:
                yield runtime

    @asynccontextmanager
    async def _serving(
        self,
        front: Front,
        listing: Listing,
        tasks: TaskRegistry,
        specs: SpecBook,
        keys: KeyStore,
        pool: Pool[Upstream],
        reloader: Reloader,
    ) -> AsyncIterator[Runtime]:
        gateway = self.settings.gateway
        manager = build_session_manager(front, gateway)
        runtime: Runtime

        async def session_ended(session: str) -> None:
            front.forget_session(session)
            await tasks.end_session(session)

        control = Control(
            tools=self.tools,
            tasks=tasks,
            specs=specs,
            installation=self.installation,
            url=lambda: runtime.url,
            components=partial(self._components, pool),
            pool=pool.report,
            reload=reloader.reload,
        )
        answers = AnswerStreams()
        app = build_app(
            front=front,
            answers=answers,
            manager=manager,
            keys=KeyBackend(keys, self.journal, required=gateway.keys_required),
            control=[*control.routes(), *self._workspaces(tasks).routes()],
            settings=gateway,
            on_session_end=session_ended,
            is_server=lambda name: name in self.tools.servers,
        )
        runtime = Runtime(app, self.backend, self.journal, tasks, self.tools, keys, pool)
        async with manager.run(), anyio.create_task_group() as group:
            group.start_soon(listing.retry_failed)
            group.start_soon(front.run)
            group.start_soon(answers.watch)
            yield runtime
            group.cancel_scope.cancel()

    def _workspaces(self, tasks: TaskRegistry) -> WorkspaceRoutes:
        return WorkspaceRoutes(
            backend=self.backend,
            tasks=tasks,
            snapshots=self.snapshots,
            journal=self.journal,
            spool_folder=self.settings.home,
        )

    def _listing(self, specs: SpecBook, remotes: Remotes) -> Listing:
        return Listing(
            specs=specs,
            tools=self.tools,
            offers=self.offers,
            backend=self.backend,
            cache=ToolCache(self.settings.home / "cache" / "tools.json"),
            eras=self.eras,
            remotes=remotes,
            seconds=self.settings.gateway.handshake_seconds,
            journal=self.journal,
        )

    def _owner(
        self,
        specs: SpecBook,
        listing: Listing,
        pool: Pool[Upstream],
        remotes: Remotes,
        adopted: Callable[[Sandbox], AbstractAsyncContextManager[Upstream]],
        task: str,
        server: str,
        survivor: KeptSandbox | None,
    ) -> Owner:
        manifest = specs.manifests.get(server)
        fresh = remotes.lease_session if specs.is_remote(server) else pool.lease
        return Owner(
            lease=(lambda _: take_over(self.backend, survivor, adopted)) if survivor else fresh,
            journal=self.journal,
            spec=survivor.spec if survivor else specs.spec(task, server),
            may_pause=manifest is not None and manifest.pause and not manifest.is_remote,
            on_list_changed=listing.changed,
        )

    def _image(self, name: str) -> str:
        reference = self.images.get(name)
        if reference is None:
            raise ImageMissingError(f"The image {name!r} is not built: run `muxi-runtime images build`, then restart.")
        return reference

    def _is_built_in(self, server: str) -> bool:
        return server == HOST or self.live.is_built_in(server)

    def _needs_no_pins(self, server: str) -> bool:
        settings = self.settings.servers.get(server)
        return self._is_built_in(server) or (settings is not None and not settings.pins)

    async def _components(self, pool: Pool[Upstream]) -> list[Check]:
        """What `status` shows, part by part."""
        health = await self.backend.health()
        started = time.monotonic()
        await self.journal.append(Draft("runtime.checked"))
        journal = f"an event is durable in {(time.monotonic() - started) * 1000:.1f} ms"
        required = self.settings.gateway.keys_required
        offered = [name for name, server in self.tools.servers.items() if server.tools]
        failed = [f"{name}: {server.error}" for name, server in self.tools.servers.items() if not server.tools]
        return [
            Check("gateway", ok=True, detail="keys required" if required else "loopback, no key needed"),
            Check("engine", health.ok, health.summary, cure="" if health.ok else "See `muxi-runtime doctor`."),
            Check("journal", ok=True, detail=journal),
            Check(
                "servers",
                not failed,
                ", ".join(offered) + ("; not offered: " + "; ".join(failed) if failed else ""),
                cure="See `muxi-runtime servers list`." if failed else "",
            ),
            pool_check(pool.report()),
            *check_runtimes(self.live.now.servers, health.runtimes),
            *self._egress(health),
        ]

    def _egress(self, health: BackendHealth) -> list[Check]:
        """Which servers may reach hosts, and whether they can; nothing where none may."""
        hosts = {name: server.profile.network.allow for name, server in self.live.now.servers.items()}
        named = ", ".join(name for name, allowed in hosts.items() if allowed)
        if not named:
            return []
        broken = next((check for check in health.checks if check.name == "egress" and check.cure), None)
        if broken is not None:
            return [Check("egress", ok=False, detail=broken.detail, cure=broken.cure)]
        return [Check("egress", ok=True, detail=f"for {named}; see `muxi-runtime servers list`")]
