"""The sandbox that a package is installed in: made for that, with no way out but to the registries, and gone after it.

Above: `packages`, which knows what to run. Below: a backend and the shell server of this project. Install scripts run
in here and nowhere else.
"""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, BinaryIO

import anyio

from muxi_runtime.errors import ServerError
from muxi_runtime.gateway.direct_calls import PlainCaller
from muxi_runtime.gateway.eras import Eras
from muxi_runtime.gateway.handshake import open_upstream
from muxi_runtime.gateway.upstream import Upstream
from muxi_runtime.identity.principal import LOCAL
from muxi_runtime.installing.settings import InstallSettings
from muxi_sandbox.contract import Backend, Spec, WorkspaceAccess
from muxi_sandbox.workspaces.contract import Bounds, WorkspaceFiles
from muxi_sandbox.workspaces.tar import BLOCK, end, header

__all__ = ["Progress", "Workshop", "open_workshop"]

Progress = Callable[[str], None]
"""Takes one line for a person."""

TASK = "install"
SERVER = "installer"
COMMAND = ("python3", "-I", "-m", "muxi_servers.shell")
CERTIFICATES = "certs"
BUNDLE = f"/workspace/{CERTIFICATES}/ca.pem"
BOUNDS = Bounds(bytes=4 * 2**30, entries=400_000)
LAST_CHARACTERS = 2000
ANSWER_BYTES = 1_000_000
END_SECONDS = 30


class _Watcher(PlainCaller):
    """Whoever installs something: sees the newest line of what is printed."""

    def __init__(self, show: Progress | None) -> None:
        super().__init__(LOCAL)
        self._show = show
        self.wants_progress = show is not None

    async def progress(self, progress: float, total: float | None, message: str | None) -> None:
        """See `Caller.progress`."""
        del progress, total
        if self._show is not None:
            for line in (message or "").splitlines()[-1:]:
                self._show(line)


class Workshop:
    """One such sandbox. Commands run in `/workspace`."""

    def __init__(self, upstream: Upstream, files: WorkspaceFiles, seconds: float, progress: Progress) -> None:
        self._upstream = upstream
        self._files = files
        self._seconds = seconds
        self._progress = progress

    async def run(self, script: str, *, quietly: bool = False) -> str:
        """Run a script of bash to its end, its lines being progress unless `quietly`; what it wrote to standard output.

        Raises:
            ServerError: it failed, or took too long; with the end of what it wrote.
            SandboxError: the sandbox ended.
        """
        arguments = {"command": script, "timeout_seconds": self._seconds, "max_output_bytes": ANSWER_BYTES}
        result = await self._upstream.request(
            "tools/call",
            {"name": "run", "arguments": arguments},
            seconds=self._seconds + END_SECONDS,
            caller=_Watcher(None if quietly else self._progress),
        )
        outcome = result.get("structuredContent") or {}
        if result.get("isError") or outcome.get("exit_code") != 0:
            said = "\n".join(str(part.get("text", "")) for part in result.get("content", ()))
            raise ServerError(f"Installing failed. It ended with:\n{said[-LAST_CHARACTERS:].strip()}")
        return str(outcome.get("stdout", ""))

    async def ask(self, script: str) -> Any:  # noqa: ANN401 - JSON
        """As `run`, for a script that prints one JSON value.

        Raises:
            ServerError: also if it printed something else.
        """
        said = await self.run(script, quietly=True)
        try:
            return json.loads(said)
        except (ValueError, RecursionError) as error:
            raise ServerError(f"The package could not be examined: {said[:200]!r} is no JSON.") from error

    async def put(self, tar: BinaryIO, folder: str) -> None:
        """Unpack a plain tar there.

        Raises:
            WorkspaceError: it does not fit, or holds what no plain tar does.
        """
        await self._files.unpack(tar, folder, bounds=BOUNDS)

    async def take(self, folder: str, into: BinaryIO) -> None:
        """Pack what is below a folder: regular files and folders alone.

        Raises:
            WorkspaceError: it is more than is moved at once.
        """
        await self._files.pack(folder, into, BOUNDS)


@asynccontextmanager
async def open_workshop(
    backend: Backend,
    image: str,
    settings: InstallSettings,
    *,
    hosts: Sequence[str],
    certificates: bytes,
    progress: Progress,
) -> AsyncIterator[Workshop]:
    """One for the block. `certificates`: a bundle in PEM form that the registries are checked against.

    Raises:
        SandboxError: there is none to be had.
    """
    spec = Spec(
        task=TASK,
        server=SERVER,
        image=image,
        command=COMMAND,
        init=False,
        environment=dict.fromkeys(("SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE"), BUNDLE),
        workspace=WorkspaceAccess.WRITE,
        network=tuple(hosts),
        limits=settings.limits,
    )
    try:
        async with open_upstream(backend, spec, eras=Eras(), handshake_seconds=END_SECONDS) as upstream:
            workshop = Workshop(upstream, backend.files(TASK), settings.seconds, progress)
            await workshop.put(_one_file("ca.pem", certificates), CERTIFICATES)
            yield workshop
    finally:
        with anyio.move_on_after(END_SECONDS, shield=True):
            await backend.end_task(TASK)


def _one_file(name: str, content: bytes) -> BinaryIO:
    padding = bytes(-len(content) % BLOCK)
    return io.BytesIO(header(name, is_folder=False, size=len(content)) + content + padding + end())
