"""The composition root: settings in, a running system out. The only place that picks concrete parts.

async with open_runtime(settings) as runtime:     # everything but the socket
    ...
await serve(settings)                             # that, behind HTTP, until SIGTERM or SIGINT
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial

from anyio import to_thread

from muxi_runtime.catalog.catalog import Catalog
from muxi_runtime.catalog.pin_store import PinStore
from muxi_runtime.config import Settings, read_catalog, read_policy
from muxi_runtime.gateway.egress import EgressGate
from muxi_runtime.gateway.kept import KeptTasks
from muxi_runtime.gateway.listener import listen, serve_http, url_of
from muxi_runtime.gateway.logins.desk import LoginDesk
from muxi_runtime.gateway.reload import LiveCatalog
from muxi_runtime.gateway.secret_gate import SecretGate
from muxi_runtime.identity.keys import KeyStore
from muxi_runtime.identity.principal import Principal
from muxi_runtime.installing.turn import adding
from muxi_runtime.journal.contract import Draft, Journal
from muxi_runtime.journal.sqlite import SqliteJournal
from muxi_runtime.policy.approval_desk import Approvals
from muxi_runtime.policy.approval_store import ApprovalStore
from muxi_runtime.policy.contract import Policy
from muxi_runtime.policy.live import LivePolicy
from muxi_runtime.setup.late_images import LateImages
from muxi_runtime.setup.proof import demand_proof, prove_all, runtimes_of, store_proofs
from muxi_runtime.setup.reap import OpenBackend, reap_left, reap_left_by_installs
from muxi_runtime.store.engine import database_path, open_store
from muxi_runtime.store.installation import installation_id
from muxi_runtime.vault.key_file import KeyFile
from muxi_runtime.vault.logins import LoginStore
from muxi_runtime.vault.store import Vault
from muxi_runtime.wiring import Parts, Runtime
from muxi_sandbox.contract import Backend
from muxi_sandbox.docker.backend import DockerBackend
from muxi_sandbox.docker.images import ImageStore
from muxi_sandbox.egress.addresses import SystemResolver
from muxi_sandbox.egress.authority import Authority
from muxi_sandbox.egress.dialling import Dialler
from muxi_sandbox.egress.proxy import EgressProxy
from muxi_sandbox.egress.reading import Secrets
from muxi_sandbox.workspaces.snapshots import SnapshotStore

__all__ = ["Runtime", "open_runtime", "serve"]

logger = logging.getLogger(__name__)


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
    policy = await to_thread.run_sync(LivePolicy, partial(read_policy, settings))
    images = await _images(settings) if backend is None else {}
    try:
        async with SqliteJournal(database_path(settings.home), settings.journal) as journal:
            approvals = Approvals(ApprovalStore(store), journal, seconds=settings.policy.approval_seconds)
            gate = EgressGate(policy=policy, journal=journal, built_in=live.is_built_in, approvals=approvals)
            key_file = KeyFile(settings.secrets.key_path(settings.home))
            vault = Vault(store, key_file)
            desk = LoginDesk(
                dialler=Dialler(settings.egress, SystemResolver()),
                vault=vault,
                store=LoginStore(store, key_file),
                servers=settings.servers,
                journal=journal,
            )
            secrets = _secrets(settings, vault, policy, gate, live)
            egress = EgressProxy(settings.egress, gate, secrets=secrets)
            async with backend or DockerBackend(settings.engine, installation, egress=egress) as entered:
                kept = KeptTasks(store)
                snapshots = SnapshotStore(settings.home / "snapshots", settings.snapshots)
                await to_thread.run_sync(snapshots.sweep)
                left = await to_thread.run_sync(kept.all)
                for task in left:
                    entered.spare(task.id, task.sandboxes)
                await reap_left(entered, journal)
                if backend is None:
                    installs = DockerBackend(settings.engine, adding(installation))
                    await reap_left_by_installs(settings.home, installs, journal)
                    await _prove(entered, settings, live.now, images, journal)
                parts = Parts(
                    settings,
                    live,
                    entered,
                    journal,
                    LateImages(images, partial(_build_image, settings) if backend is None else None),
                    installation,
                    gate,
                    vault,
                    kept,
                    snapshots,
                    left,
                    approvals,
                    desk,
                )
                async with parts.running(KeyStore(store), PinStore(store), policy) as runtime:
                    yield runtime
    finally:
        store.dispose()


def _secrets(settings: Settings, vault: Vault, policy: Policy, gate: EgressGate, live: LiveCatalog) -> Secrets:
    """What the proxy puts values of secrets in with; its key is made when it is first needed."""

    def principal_of(task: str) -> Principal | None:
        return gate.principal_of(task)  # set later

    def labels_of(task: str) -> frozenset[str]:
        return gate.labels_of(task)  # as above

    keeper = SecretGate(
        policy=policy, vault=vault, principal_of=principal_of, labels_of=labels_of, built_in=live.is_built_in
    )
    return Secrets(keeper, Authority(settings.home / "authority.pem"), settings.egress.certificates)


async def _images(settings: Settings) -> dict[str, str | None]:
    async with ImageStore(settings.engine) as images:
        return {name: await images.find(name) for name in images.names}


async def _build_image(settings: Settings, name: str) -> str:
    async with ImageStore(settings.engine) as images:
        return await images.ensure(name, lambda line: logger.debug("%s: %s", name, line))


async def _prove(
    backend: Backend, settings: Settings, catalog: Catalog, images: Mapping[str, str | None], journal: Journal
) -> None:
    """Nothing is served by sandboxes that were not seen to hold."""
    known = (await backend.health()).runtimes
    proofs = await prove_all(backend, images, runtimes_of(catalog.servers.values(), known))
    where = await to_thread.run_sync(store_proofs, settings.home, proofs)
    await demand_proof(proofs, settings.engine.accept_failed_probes, journal, where)
