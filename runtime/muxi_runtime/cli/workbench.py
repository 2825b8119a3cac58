"""Opens what installing a server needs: the engine, the images, a way out to the registries, the journal.

All of it belongs to the command, not to the runtime: containers carry a label of their own, and what a command that was
killed left behind is removed by the next one, or by the next `up`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from anyio import to_thread
from sqlalchemy import Engine

from muxi_runtime.catalog.catalog import granted
from muxi_runtime.catalog.manifest import Manifest
from muxi_runtime.catalog.settings import ServerSettings
from muxi_runtime.catalog.sources import Source
from muxi_runtime.config import Settings
from muxi_runtime.errors import ServerError, sole_error
from muxi_runtime.gateway.credentials import ConfiguredCredentials, Credentials
from muxi_runtime.gateway.logins.kept import KeptLogins
from muxi_runtime.installing.gate import InstallGate
from muxi_runtime.installing.installer import Fetched, Installer
from muxi_runtime.installing.turn import adding, taken_turn
from muxi_runtime.installing.workshop import Progress
from muxi_runtime.journal.sqlite import SqliteJournal
from muxi_runtime.setup.proof import PROBE_IMAGE, demand_proof, prove_all, store_proofs
from muxi_runtime.setup.reap import reap_left
from muxi_runtime.store.engine import database_path, open_store
from muxi_runtime.store.installation import installation_id
from muxi_runtime.vault.key_file import KeyFile
from muxi_runtime.vault.logins import LoginStore
from muxi_runtime.vault.store import Vault
from muxi_sandbox.docker.backend import DockerBackend
from muxi_sandbox.docker.images import ImageStore
from muxi_sandbox.docker.images.added import AddedImage, build_added
from muxi_sandbox.docker.images.foreign import fetch_image
from muxi_sandbox.docker.images.transport import host_transport
from muxi_sandbox.egress.proxy import EgressProxy
from muxi_sandbox.errors import ImageBuildError

__all__ = ["open_installer"]

FORWARDER = "forwarder"
COVERED = {"/tmp", "/workspace"}  # noqa: S108  # nosec B108  # paths in the sandbox, where something of ours is anyway
CONNECTIONS, PER_SECOND = 256, 1000
"""A package installer opens a connection for each of hundreds of files at once."""


@dataclass(frozen=True, slots=True)
class DockerShelf:
    """The `ImageShelf` over the engine's images."""

    images: ImageStore

    async def ensure(self, name: str, progress: Progress) -> str:
        """See `ImageShelf.ensure`."""
        return await self.images.ensure(name, progress)

    async def add(self, name: str, base: str, tree: Path, packages: tuple[str, ...], progress: Progress) -> str:
        """See `ImageShelf.add`."""
        return await build_added(self.images, AddedImage(name, base, tree, packages), progress)

    async def fetch(self, source: Source, progress: Progress) -> Fetched:
        """See `ImageShelf.fetch`."""
        try:
            found = await fetch_image(self.images, source.name, source.version, progress)
        except ImageBuildError as error:
            raise ServerError(
                str(error), remedy="Check the name and the registry, or load the image with `docker load`."
            ) from error
        if extra := [path for path in found.volumes if path not in COVERED]:
            raise ServerError(
                f"The image {source.name} declares volumes ({', '.join(extra)}): places on this machine's disk without"
                " a limit, which no sandbox gets.",
                remedy="Use an image without VOLUME, or add the package that it holds: npm:NAME or pypi:NAME.",
            )
        note = f"The engine's own copy of the image is used: {found.why_local}." if found.why_local else ""
        return Fetched(found.image, found.digest, found.entrypoint, found.command, note)


@asynccontextmanager
async def open_installer(settings: Settings, progress: Progress) -> AsyncIterator[Installer]:
    """For the block; one at a time in a state folder.

    Raises:
        RefusedError: another command installs something now.
        SandboxError: no engine, or an image cannot be built.
        SetupError: sandboxes do not hold here.
    """
    installation = await to_thread.run_sync(installation_id, settings.home)
    store = await to_thread.run_sync(open_store, settings.home)
    egress = settings.egress.model_copy(update={"connections": CONNECTIONS, "connections_per_second": PER_SECOND})
    with _one_error(), _closing(store):
        async with (
            taken_turn(settings.home) as scratch,
            SqliteJournal(database_path(settings.home), settings.journal) as journal,
            ImageStore(settings.engine) as images,
        ):
            await images.ensure(FORWARDER, progress)
            probe = {PROBE_IMAGE: await images.ensure(PROBE_IMAGE, progress)}
            way_out = EgressProxy(egress, InstallGate(journal))
            async with DockerBackend(settings.engine, adding(installation), egress=way_out) as backend:
                await reap_left(backend, journal)
                progress("proving that sandboxes hold")
                proofs = await prove_all(backend, probe, [None])
                where = await to_thread.run_sync(store_proofs, settings.home, proofs)
                await demand_proof(proofs, settings.engine.accept_failed_probes, journal, where)
                transport = await to_thread.run_sync(host_transport)
                yield Installer(
                    backend,
                    DockerShelf(images),
                    settings.install,
                    scratch=scratch,
                    certificates=transport.certificates,
                    grant=partial(granted, settings=ServerSettings(), classes=settings.limits_classes),
                    credentials=partial(_credentials, settings, store),
                )


def _credentials(settings: Settings, store: Engine, manifest: Manifest) -> Credentials:
    """What is set for a server elsewhere, or the login that its tools are listed with."""
    key_file = KeyFile(settings.secrets.key_path(settings.home))
    configured = ConfiguredCredentials(settings.servers, Vault(store, key_file))
    return KeptLogins(configured, LoginStore(store, key_file), manifest.url)


@contextmanager
def _closing(store: Engine) -> Iterator[None]:
    try:
        yield
    finally:
        store.dispose()


@contextmanager
def _one_error() -> Iterator[None]:
    """The task groups of the engine and the proxy wrap what passes through them; a person gets the error itself."""
    try:
        yield
    except BaseExceptionGroup as group:
        raise sole_error(group) or group from group
