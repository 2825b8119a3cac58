"""A workspace that the host does not see: each operation is done in a sandbox of the task's own, made for it.

Above: a backend that may not mount. Below: a lease, and `inside`, whose source goes in with the command. What comes out
was written beside hostile files but not by them: no program of the task runs in that sandbox. Nevertheless everything
that comes out is bounded here, and a tar is read strictly by whoever uses it.
"""

from __future__ import annotations

import io
import json
import zipfile
from base64 import b64decode, b64encode
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from importlib.resources import files as resources
from typing import TYPE_CHECKING, Any, BinaryIO

from anyio import to_thread

from muxi_sandbox.contract import Limits, Spec, WorkspaceAccess
from muxi_sandbox.workspaces.contract import (
    ArchiveError,
    Bounds,
    Entry,
    ExistsError,
    Report,
    WorkspaceError,
    WorkspaceFullError,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from contextlib import AbstractAsyncContextManager

    from muxi_sandbox.contract import Lease, Sandbox

__all__ = ["SERVER", "RemoteFiles"]

SERVER = "workspace-files"
"""What such a sandbox is called where servers are named."""
MODULES = ("contract", "descent", "inside", "names", "reading", "replacing", "tar", "writing")
MOST_AT_ONCE = 2**20
FRAME_MIB, BESIDE_MIB = 32, 128
"""One line may list a folder of 100,000 names. What is put into a workspace counts as memory of who put it there."""
NO_WORKSPACE = WorkspaceError(
    "The task has no workspace now: it begins with the first sandbox that uses one and, where the host may not mount, "
    "ends with the last. See `muxi-runtime doctor`."
)


@dataclass(frozen=True, slots=True)
class RemoteFiles:
    """See `contract.WorkspaceFiles`.

    Attributes:
        lease: the backend's.
        image: one with Python, as the backend knows it; `None` if there is none.
        size: of the task's workspace in MiB; `None` if it has none now.
    """

    task: str
    lease: Callable[[Spec], AbstractAsyncContextManager[Lease]]
    image: Callable[[], Awaitable[str | None]]
    size: Callable[[], int | None]

    async def entries(self, path: str = "", bounds: Bounds = Bounds()) -> tuple[list[Entry], Report]:  # noqa: B008  # frozen
        """See `contract.WorkspaceFiles.entries`."""
        done = await self._do("entries", path, bounds, io.BytesIO())
        return [Entry(**entry) for entry in done["entries"]], _report(done)

    async def pack(self, path: str, into: BinaryIO, bounds: Bounds = Bounds()) -> Report:  # noqa: B008  # frozen
        """See `contract.WorkspaceFiles.pack`."""
        return _report(await self._do("pack", path, bounds, into))

    async def unpack(
        self,
        source: BinaryIO,
        path: str = "",
        *,
        overwrite: bool = False,
        bounds: Bounds = Bounds(),  # noqa: B008  # frozen
    ) -> Report:
        """See `contract.WorkspaceFiles.unpack`."""
        return _report(await self._do("unpack", path, bounds, source, overwrite=overwrite))

    async def replace(self, source: BinaryIO, bounds: Bounds = Bounds()) -> Report:  # noqa: B008  # frozen
        """See `contract.WorkspaceFiles.replace`."""
        return _report(await self._do("replace", "", bounds, source))

    async def _do(self, what: str, path: str, bounds: Bounds, file: BinaryIO, **more: object) -> dict[str, Any]:
        request = {"do": what, "path": path, "bounds": [bounds.bytes, bounds.entries, bounds.depth], **more}
        async with self._sandbox() as sandbox:
            await sandbox.send(json.dumps(request).encode())
            start = await to_thread.run_sync(file.tell) if what == "replace" else 0
            while True:
                message = json.loads(await sandbox.receive())
                if "done" in message:
                    done: dict[str, Any] = message["done"]
                    return done
                if "failed" in message:
                    raise _error(message)
                answer = await to_thread.run_sync(_serve, message, file, start)
                await sandbox.send(json.dumps(answer).encode())

    @asynccontextmanager
    async def _sandbox(self) -> AsyncIterator[Sandbox]:
        size = self.size()
        if size is None:
            raise NO_WORKSPACE.with_traceback(None)
        image = await self.image()
        if image is None:
            raise WorkspaceError(
                "The files of a workspace are reached through a sandbox on this host, and the image for it is not "
                "built. Run `muxi-runtime images build`."
            )
        spec = Spec(
            task=self.task,
            server=SERVER,
            image=image,
            command=("python3", "-I", "-c", _program()),
            workspace=WorkspaceAccess.WRITE,
            limits=Limits(memory_mib=size + BESIDE_MIB, frame_mib=FRAME_MIB, output_mib=2 * FRAME_MIB),
        )
        async with self.lease(spec) as lease:
            if lease.workspace_is_new:
                raise NO_WORKSPACE.with_traceback(None)  # its last sandbox ended meanwhile
            yield lease.sandbox


def _serve(message: dict[str, Any], file: BinaryIO, start: int) -> dict[str, Any]:
    """Do what the other end wants of the file; positions count from `start`."""
    if "write" in message:
        file.write(b64decode(message["write"]))
        return {}
    if "seek" in message:
        file.seek(start + int(message["seek"]))
        return {}
    return {"data": b64encode(file.read(min(int(message["read"]), MOST_AT_ONCE))).decode("ascii")}


def _report(done: dict[str, Any]) -> Report:
    found = dict(done["report"])
    return Report(**{**found, "told": [(path, why) for path, why in found["told"]]})


def _error(message: dict[str, Any]) -> WorkspaceError:
    if message["failed"] == WorkspaceFullError.__name__:
        return WorkspaceFullError(message["limit"], message["value"])
    kinds = {kind.__name__: kind for kind in (ArchiveError, ExistsError)}
    return kinds.get(message["failed"], WorkspaceError)(message["message"])


@cache
def _program() -> str:
    """Python that writes this package's modules below /tmp and runs `inside`."""
    packed = io.BytesIO()
    package = resources("muxi_sandbox")
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("muxi_sandbox/__init__.py", "")
        archive.writestr("muxi_sandbox/workspaces/__init__.py", "")
        archive.writestr("muxi_sandbox/errors.py", (package / "errors.py").read_text("utf-8"))
        for name in MODULES:
            inner = f"workspaces/{name}.py"
            archive.writestr(f"muxi_sandbox/{inner}", (package / inner).read_text("utf-8"))
    return (
        "import base64, sys\n"
        f"with open('/tmp/files.zip', 'wb') as file: file.write(base64.b64decode({b64encode(packed.getvalue())!r}))\n"
        "sys.path.insert(0, '/tmp/files.zip')\n"
        "from muxi_sandbox.workspaces.inside import main\n"
        "main()\n"
    )
