"""Wires the gateway's parts together: what `app` has opened goes in, a running system comes out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

import anyio
from anyio import to_thread
from starlette.types import ASGIApp

from muxi_runtime.catalog.pin_book import PinBook
from muxi_runtime.catalog.pin_store import PinStore
from muxi_runtime.catalog.tool_cache import ToolCache
from muxi_runtime.component_checks import ComponentChecks
from muxi_runtime.config import Settings, read_catalog
from muxi_runtime.gateway.answer_stream import AnswerStreams
from muxi_runtime.gateway.approval_routes import ApprovalRoutes
from muxi_runtime.gateway.asking import Asking
from muxi_runtime.gateway.call import Door
from muxi_runtime.gateway.control import Control
from muxi_runtime.gateway.credentials import ConfiguredCredentials
from muxi_runtime.gateway.declassifying import Declassifying
from muxi_runtime.gateway.egress import EgressGate, label_flows
from muxi_runtime.gateway.eras import Eras
from muxi_runtime.gateway.front import Front
from muxi_runtime.gateway.giving import Giving
from muxi_runtime.gateway.handshake import open_session
from muxi_runtime.gateway.host_server import HOST, HostServer
from muxi_runtime.gateway.http import Checks, build_app, build_session_manager
from muxi_runtime.gateway.http_auth import Challenge, KeyBackend
from muxi_runtime.gateway.kept import KeptTask, KeptTasks, take_over
from muxi_runtime.gateway.kept_files import KeptFiles
from muxi_runtime.gateway.label_routes import LabelRoutes
from muxi_runtime.gateway.labels import LabelBook
from muxi_runtime.gateway.listing import Listing
from muxi_runtime.gateway.login_asking import LoginAsking
from muxi_runtime.gateway.logins.desk import LoginDesk
from muxi_runtime.gateway.logins.pages import LoginPages
from muxi_runtime.gateway.logins.routes import LoginRoutes
from muxi_runtime.gateway.logins.visits import Visits
from muxi_runtime.gateway.offers import OfferBook
from muxi_runtime.gateway.owner import Owner
from muxi_runtime.gateway.policy_watch import PolicyWatch
from muxi_runtime.gateway.protected_resource import metadata_url, open_tokens
from muxi_runtime.gateway.rate_limits import RateLimits
from muxi_runtime.gateway.reload import LiveCatalog, Reloader
from muxi_runtime.gateway.remote import Remotes
from muxi_runtime.gateway.roots import Roots
from muxi_runtime.gateway.secret_book import SecretBook
from muxi_runtime.gateway.specs import SpecBook
from muxi_runtime.gateway.task_labels import TaskLabels
from muxi_runtime.gateway.tasks import TaskRegistry
from muxi_runtime.gateway.tools import ToolBook
from muxi_runtime.gateway.upstream import Upstream
from muxi_runtime.gateway.wishes import pool_wishes
from muxi_runtime.gateway.withheld_routes import WithheldRoutes
from muxi_runtime.gateway.withholding import Withholding
from muxi_runtime.gateway.words import UserWords
from muxi_runtime.gateway.workspace_routes import WorkspaceRoutes
from muxi_runtime.identity.keys import KeyStore
from muxi_runtime.identity.known_keys import KnownKeys
from muxi_runtime.journal.contract import Journal
from muxi_runtime.policy.approval_desk import Approvals
from muxi_runtime.policy.live import LivePolicy
from muxi_runtime.setup.late_images import LateImages
from muxi_runtime.store.engine import database_path
from muxi_runtime.vault.store import Vault
from muxi_sandbox.contract import Backend, KeptSandbox, Sandbox
from muxi_sandbox.pool.pool import Pool
from muxi_sandbox.workspaces.snapshots import SnapshotStore

__all__ = ["Parts", "Runtime"]


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


@dataclass(slots=True)
class Parts:
    """Wires the gateway together; each line of `running` is one part and what it needs."""

    settings: Settings
    live: LiveCatalog
    backend: Backend
    journal: Journal
    images: LateImages
    installation: str
    gate: EgressGate
    vault: Vault
    kept: KeptTasks
    snapshots: SnapshotStore
    left: Sequence[KeptTask]
    approvals: Approvals
    desk: LoginDesk
    tools: ToolBook = field(init=False)
    labels: TaskLabels = field(init=False)
    declassifying: Declassifying = field(init=False)
    visits: Visits = field(init=False)
    offers: OfferBook = field(init=False)
    eras: Eras = field(default_factory=Eras)

    @asynccontextmanager
    async def running(self, keys: KeyStore, store: PinStore, policy: LivePolicy) -> AsyncIterator[Runtime]:
        """The running system, for the block: tools listed, tasks kept from before restored, the pool filling."""
        gateway = self.settings.gateway
        specs = SpecBook(self.live.now.servers, self.images.reference, SecretBook(self.installation, self.vault))
        pins = await to_thread.run_sync(
            partial(PinBook, store, is_trusted=self._needs_no_pins, was_added=specs.was_added, identity=specs.identity)
        )
        self.tools, self.offers = ToolBook(pins.judge), OfferBook(pins.judge)
        warm = partial(open_session, eras=self.eras, handshake_seconds=gateway.handshake_seconds)
        adopted = partial(open_session, eras=self.eras, handshake_seconds=gateway.handshake_seconds, adopted=True)
        credentials = ConfiguredCredentials(self.settings.servers, self.vault, self.desk)
        remotes = Remotes(self.tools.input_schema, warm, credentials)
        listing = self._listing(specs, remotes)
        self.desk.url_of, self.desk.logged_in = specs.url, listing.again
        async with (
            Pool(self.backend, warm, self.settings.pool) as pool,
            TaskRegistry(
                backend=self.backend,
                journal=self.journal,
                settings=gateway,
                own=partial(self._owner, specs, listing, pool, adopted),
                kept=self.kept,
                kept_files=KeptFiles(self.backend, self.snapshots),
            ) as tasks,
        ):
            tasks.restore(self.left)
            self.gate.principal_of = remotes.principal_of = tasks.principal_of
            self.gate.calls_of = tasks.calls_of
            watch = PolicyWatch(policy, self.journal, self.settings.source or self.settings.home / "muxi.yaml")
            await watch.tell_loaded()
            book = LabelBook(
                manifests=lambda: specs.manifests, servers=self.settings.servers, settings=self.settings.labels
            )
            self.labels = TaskLabels(self.journal, tasks.save)
            self.declassifying = Declassifying(self.approvals, self.labels, tasks.find)
            label_flows(self.gate, tasks, book, self.labels)
            self.approvals.is_open = lambda task: tasks.principal_of(task) is not None
            host = HostServer(tasks, gateway)
            door = Door(
                tools=self.tools,
                tasks=tasks,
                policy=policy,
                journal=self.journal,
                asking=Asking(self.approvals, seconds=gateway.approval_wait_seconds),
                host=host,
                built_in=self._is_built_in,
                settings=gateway,
                giving=Giving(
                    book=book,
                    labels=self.labels,
                    tasks=tasks.all,
                    settings=gateway,
                    withholding=self._withholding(book),
                ),
                words=UserWords(self.settings.policy.user_words_from),
            )
            self.visits = Visits(self.desk)
            front = Front(
                door=door,
                tools=self.tools,
                offers=self.offers,
                question_seconds=gateway.question_seconds,
                mode=gateway.tools,
                logins=LoginAsking(self.visits, gateway.approval_wait_seconds),
            )
            Roots(tasks, self.journal, gateway.question_seconds).register(front.server)
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
            async with self._serving(front, listing, tasks, specs, keys, pool, reloader, watch) as runtime:
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
        watch: PolicyWatch,
    ) -> AsyncIterator[Runtime]:
        gateway = self.settings.gateway
        manager = build_session_manager(front, gateway)
        runtime: Runtime

        async def session_ended(session: str) -> None:
            front.forget_session(session)
            await tasks.end_session(session)

        checks = ComponentChecks(
            backend=self.backend,
            journal=self.journal,
            tools=self.tools,
            live=self.live,
            pool=pool,
            policy=watch,
            keys_required=gateway.keys_required,
            vault=self.vault,
            logins=self.desk,
        )
        control = Control(
            tools=self.tools,
            tasks=tasks,
            specs=specs,
            installation=self.installation,
            url=lambda: runtime.url,
            components=checks.all,
            pool=pool.report,
            reload=reloader.reload,
            logins=self.desk,
        )
        oauth = self.settings.auth.oauth
        self.visits.url_of_runtime = lambda: oauth.audience if oauth else runtime.url
        known = KnownKeys(keys, database_path(self.settings.home))
        answers, checked = AnswerStreams(), self._checks(keys, known)
        app = build_app(
            front=front,
            answers=answers,
            manager=manager,
            checks=checked,
            control=[
                *control.routes(),
                *watch.routes(),
                *self._workspaces(tasks).routes(),
                *LabelRoutes(tasks, self.labels, self.declassifying).routes(),
                *WithheldRoutes(tasks, self.journal, gateway.kept_result_seconds).routes(),
                *ApprovalRoutes(self.approvals).routes(),
                *LoginRoutes(self.desk).routes(),
                *LoginPages(self.visits, checked.keys).routes(),
            ],
            settings=gateway,
            on_session_end=session_ended,
            is_server=lambda name: name in self.tools.servers,
        )
        runtime = Runtime(app, self.backend, self.journal, tasks, self.tools, keys, pool)
        async with known, manager.run(), anyio.create_task_group() as group:
            group.start_soon(listing.retry_failed)
            group.start_soon(self.images.run, lambda: specs.manifests, reloader.refill)
            group.start_soon(watch.run)
            group.start_soon(self.approvals.run)
            group.start_soon(front.run)
            group.start_soon(answers.watch)
            yield runtime
            group.cancel_scope.cancel()

    def _checks(self, keys: KeyStore, known: KnownKeys) -> Checks:
        limits = RateLimits(self.settings.gateway.rates, self.journal)
        oauth = self.settings.auth.oauth
        backend = KeyBackend(
            known,
            self.journal,
            required=self.settings.gateway.keys_required,
            count_failure=limits.failure,
            tokens=open_tokens(oauth, keys.users.find) if oauth else None,
            challenge=Challenge(metadata_url(oauth)) if oauth else None,
        )
        return Checks(backend, limits, oauth)

    def _withholding(self, book: LabelBook) -> Withholding:
        settings = self.settings
        return Withholding(book=book, results=settings.results, servers=settings.servers, settings=settings.gateway)

    def _workspaces(self, tasks: TaskRegistry) -> WorkspaceRoutes:
        return WorkspaceRoutes(
            backend=self.backend,
            tasks=tasks,
            labels=self.labels,
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
        adopted: Callable[[Sandbox], AbstractAsyncContextManager[Upstream]],
        task: str,
        server: str,
        survivor: KeptSandbox | None,
    ) -> Owner:
        manifest = specs.manifests.get(server)
        fresh = listing.lease_remote if specs.is_remote(server) else pool.lease
        return Owner(
            lease=(lambda _: take_over(self.backend, survivor, adopted)) if survivor else fresh,
            journal=self.journal,
            spec=survivor.spec if survivor else specs.spec(task, server),
            may_pause=manifest is not None and manifest.pause and not manifest.is_remote,
            on_list_changed=listing.changed,
            before_use=listing.look_again if specs.is_remote(server) else None,
        )

    def _is_built_in(self, server: str) -> bool:
        return server == HOST or self.live.is_built_in(server)

    def _needs_no_pins(self, server: str) -> bool:
        settings = self.settings.servers.get(server)
        return self._is_built_in(server) or (settings is not None and not settings.pins)
