"""What `doctor` looks at. Each check is a `Check`: not ok is a failure, ok with a cure is a warning."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from muxi_runtime.config import Settings, read_catalog
from muxi_runtime.errors import MuxiError
from muxi_runtime.identity.keys import KeyStore
from muxi_runtime.setup.home import running_process
from muxi_runtime.setup.port import check_port_is_free
from muxi_runtime.setup.proof import PROBE_IMAGE, check_runtimes, prove_all, runtimes_of
from muxi_runtime.store.engine import database_path, open_store
from muxi_runtime.store.installation import installation_id
from muxi_sandbox.contract import Check
from muxi_sandbox.docker.backend import DockerBackend
from muxi_sandbox.docker.images import ImageStore
from muxi_sandbox.errors import SandboxError
from muxi_sandbox.proof.proof import Proof

__all__ = ["check_configuration", "check_engine", "check_here", "check_images", "check_proof"]

OLDEST_PYTHON = (3, 11)
GIB = 2**30
LITTLE_GIB = 1


def check_here(settings: Settings) -> list[Check]:
    """Everything that needs no engine."""
    return [
        check_python(),
        *check_configuration(settings),
        check_home(settings.home),
        check_port(settings),
        check_keys(settings),
    ]


def check_python() -> Check:
    """The interpreter's version."""
    ok = sys.version_info >= OLDEST_PYTHON
    return Check("python", ok, platform.python_version(), "" if ok else "Use Python 3.11 or newer.")


def check_configuration(settings: Settings) -> list[Check]:
    """The file that is in use, and each manifest that cannot be."""
    catalog = read_catalog(settings)
    source = str(settings.source) if settings.source else "no file, the defaults hold"
    bad = [
        Check(f"server {name}", ok=False, detail=Exception.__str__(problem), cure=problem.remedy)
        for name, problem in catalog.problems.items()
    ]
    return [Check("configuration", ok=True, detail=source), *bad]


def check_home(home: Path) -> Check:
    """Space left for the journal and the rest of the state."""
    there = next(folder for folder in (home, *home.parents) if folder.exists())
    free = shutil.disk_usage(there).free / GIB
    little = free < LITTLE_GIB
    cure = "Free some space, or choose another folder with --home." if little else ""
    return Check("home", ok=True, detail=f"{home}, {free:.1f} GiB free", cure=cure)


def check_port(settings: Settings) -> Check:
    """Whether the runtime listens, or could."""
    running = running_process(settings.home)
    if running is not None:
        return Check("port", ok=True, detail=f"this runtime listens at {running.url} (process {running.pid})")
    host, port = settings.gateway.host, settings.gateway.port
    try:
        check_port_is_free(host, port)
    except MuxiError as error:
        return Check("port", ok=False, detail=Exception.__str__(error), cure=error.remedy)
    return Check("port", ok=True, detail=f"{host}:{port} is free")


def check_keys(settings: Settings) -> Check:
    """Whether anybody could call, where a key is needed."""
    if not settings.gateway.keys_required:
        return Check("keys", ok=True, detail=f"none needed: bound to {settings.gateway.host} only")
    try:
        active = _active_keys(settings.home)
    except MuxiError as error:
        return Check("keys", ok=False, detail=Exception.__str__(error), cure=error.remedy)
    cure = "" if active else "Nobody can call: make a key with `muxi-runtime keys create`."
    return Check("keys", ok=active > 0, detail=f"{active} active, needed at {settings.gateway.host}", cure=cure)


def _active_keys(home: Path) -> int:
    # Looking must not make the database.
    if not database_path(home).exists():
        return 0
    store = open_store(home)
    try:
        return sum(record.state() == "active" for record in KeyStore(store).list())
    finally:
        store.dispose()


async def check_engine(settings: Settings) -> Sequence[Check]:
    """What the engine says of itself."""
    known = (settings.home / "installation").exists()
    backend = DockerBackend(settings.engine, installation_id(settings.home) if known else "doctor")
    health = await backend.health()
    if not health.ok:
        return health.checks
    catalog = read_catalog(settings)
    return [*health.checks, *check_runtimes(catalog.servers, health.runtimes)]


async def check_proof(settings: Settings) -> list[Proof]:
    """Run the probes of `up` now, in sandboxes of their own.

    Raises:
        SandboxError: no engine, or nothing to run them in.
    """
    catalog = read_catalog(settings)
    async with ImageStore(settings.engine) as store:
        images = {PROBE_IMAGE: await store.find(PROBE_IMAGE)}
    async with DockerBackend(settings.engine, f"proof-{os.getpid()}") as backend:
        known = (await backend.health()).runtimes
        return await prove_all(backend, images, runtimes_of(catalog.servers.values(), known))


async def check_images(settings: Settings) -> list[Check]:
    """Whether each sandbox image is built from the inputs as they are now."""
    try:
        async with ImageStore(settings.engine) as store:
            images = await store.list()
    except SandboxError as error:
        return [Check("images", ok=False, detail=str(error))]
    running = running_process(settings.home) is not None
    missing = "Build it with `muxi-runtime images build`" + (", then restart." if running else "; `up` does.")
    return [
        Check(
            f"image {image.name}",
            # Before the first `up` there are none: nothing is wrong yet.
            ok=image.built or not running,
            detail=image.reference if image.built else "not built",
            cure="" if image.built else missing,
        )
        for image in images
    ]
