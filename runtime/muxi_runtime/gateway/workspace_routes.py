"""A task's files and their snapshots, over the control API.

    GET    /control/tasks/TASK/files?path=            what is in a folder
    GET    /control/tasks/TASK/tar?path=              a file, or all below a folder, as a tar
    PUT    /control/tasks/TASK/tar?path=&overwrite=   the content of a tar, below a folder; &label=private for its files
    POST   /control/tasks/TASK/snapshots              take one
    POST   /control/tasks/TASK/restore/SNAPSHOT       make the workspace what it was
    GET    /control/snapshots?task=                   the caller's own
    GET    /control/snapshots/SNAPSHOT/tar            one as a tar
    DELETE /control/snapshots/SNAPSHOT

Above: `cli.workspace`. Below: `Backend.files` and `SnapshotStore`. A tar lies on the runtime's disk before one byte of
it goes on, so that neither a slow reader nor a program of the task holds the other up; each operation is in the
journal before its answer.
"""

from __future__ import annotations

import time
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from anyio import to_thread
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from muxi_runtime.catalog.labels import Label
from muxi_runtime.errors import JournalError, UnknownTaskError
from muxi_runtime.gateway.http_auth import principal_of
from muxi_runtime.gateway.tar_bodies import TarResponse, Transfers, receive_tar, report_of
from muxi_runtime.journal.contract import Draft
from muxi_sandbox.errors import SandboxError
from muxi_sandbox.workspaces.contract import Bounds, Report, WorkspaceError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from starlette.requests import Request

    from muxi_runtime.gateway.labels import Reasons
    from muxi_runtime.gateway.task import Task
    from muxi_runtime.gateway.task_labels import TaskLabels
    from muxi_runtime.gateway.tasks import TaskRegistry
    from muxi_runtime.journal.contract import Journal
    from muxi_sandbox.contract import Backend
    from muxi_sandbox.workspaces.snapshots import Snapshot, SnapshotStore

    Answer = Callable[[Request], Awaitable[Response]]

__all__ = ["WorkspaceRoutes"]


class WorkspaceRoutes:
    """The routes and what they do."""

    def __init__(
        self,
        *,
        backend: Backend,
        tasks: TaskRegistry,
        labels: TaskLabels,
        snapshots: SnapshotStore,
        journal: Journal,
        spool_folder: Path,
    ) -> None:
        """`spool_folder` is where tars lie while they are on their way, unseen."""
        self._backend = backend
        self._tasks = tasks
        self._labels = labels
        self._snapshots = snapshots
        self._journal = journal
        self._transfers = Transfers(spool_folder)
        self._bounds = Bounds()

    def routes(self) -> list[Route]:
        """For the application."""
        task, snapshot = "/control/tasks/{task}", "/control/snapshots/{snapshot}"
        return [
            Route(f"{task}/files", self._told(self._list)),
            Route(f"{task}/tar", self._told(self._get), methods=["GET"]),
            Route(f"{task}/tar", self._told(self._put), methods=["PUT"]),
            Route(f"{task}/snapshots", self._told(self._take), methods=["POST"]),
            Route(f"{task}/restore/{{snapshot}}", self._told(self._restore), methods=["POST"]),
            Route("/control/snapshots", self._told(self._list_snapshots)),
            Route(f"{snapshot}/tar", self._told(self._export)),
            Route(snapshot, self._told(self._remove), methods=["DELETE"]),
        ]

    def _told(self, answer: Answer) -> Answer:
        """The same, with each failure of ours as an answer, and in the journal."""

        async def told(request: Request) -> Response:
            try:
                return await answer(request)
            except UnknownTaskError as error:
                return _refusal("unknown_task", error, 404)
            except WorkspaceError as error:
                await self._tell(request, "workspace.refused", path=request.url.path[:200], message=str(error)[:500])
                return _refusal("workspace", error, 400)
            except (SandboxError, JournalError) as error:
                return _refusal("failed", error, 500)
            except OSError as error:
                why = f"The runtime could not keep the files on its disk: {error.strerror}."
                return _refusal("failed", f"{why} Make room in its state folder.", 500)
            except ClientDisconnect:
                # Nobody hears it; nothing was written.
                return Response(status_code=400)

        return told

    @asynccontextmanager
    async def _task(self, request: Request) -> AsyncIterator[Task]:
        """The caller's task, which does not idle out meanwhile."""
        task = self._tasks.named(request.path_params["task"], principal_of(request))
        task.calls += 1
        try:
            yield task
        finally:
            task.calls -= 1
            task.used_at = time.monotonic()

    async def _list(self, request: Request) -> Response:
        path = _path(request)
        async with self._task(request) as task:
            entries, report = await self._backend.files(task.id).entries(path, self._bounds)
        await self._tell(request, "workspace.listed", path=path[:500], entries=len(entries))
        return JSONResponse({"task": task.id, "entries": [asdict(entry) for entry in entries], **report_of(report)})

    async def _get(self, request: Request) -> Response:
        path = _path(request)
        with self._transfers.one(str(principal_of(request))) as transfer:
            async with self._task(request) as task:
                files, tar = self._backend.files(task.id), await self._transfers.file(transfer)
                report = await files.pack(path, tar, self._bounds)
                facts = {"is_file": await _is_file(files.entries, path), **report_of(report)}
            await self._tell(request, "workspace.got", path=path[:500], **_counts(facts))
            return TarResponse(tar, facts, transfer.pop_all())

    async def _put(self, request: Request) -> Response:
        path, overwrite = _path(request), request.query_params.get("overwrite") == "true"
        with self._transfers.one(str(principal_of(request))) as transfer:
            tar = await self._transfers.file(transfer)
            # First of all: a client that is still sending does not hear a refusal.
            await receive_tar(request.stream(), tar, self._bounds)
            async with self._task(request) as task:
                # First: once the files are there, any program of the task may read them.
                await self._labels.add(task, _labels(request), source="workspace put")
                files = self._backend.files(task.id)
                report = await files.unpack(tar, path, overwrite=overwrite, bounds=self._bounds)
        facts = report_of(report)
        await self._tell(request, "workspace.put", path=path[:500], overwrite=overwrite, **_counts(facts))
        return JSONResponse({"task": task.id, **facts})

    async def _take(self, request: Request) -> Response:
        principal, note = str(principal_of(request)), request.query_params.get("note", "")
        with self._transfers.one(principal):
            async with self._task(request) as task, _standing_still(task):
                files = self._backend.files(task.id)
                snapshot, report = await self._snapshots.take(files, task.id, note, principal=principal)
        await self._tell(request, "snapshot.taken", **_facts(snapshot))
        return JSONResponse({**asdict(snapshot), "told": report_of(report)["told"]})

    async def _restore(self, request: Request) -> Response:
        snapshot = await self._own_snapshot(request)
        with self._transfers.one(str(principal_of(request))):
            async with self._task(request) as task, _standing_still(task):
                report = await self._snapshots.restore(snapshot, self._backend.files(task.id))
        await self._tell(request, "snapshot.restored", **_facts(snapshot))
        return JSONResponse({"task": task.id, "snapshot": snapshot.id, **report_of(report)})

    async def _list_snapshots(self, request: Request) -> Response:
        principal, task = str(principal_of(request)), request.query_params.get("task")
        found = await to_thread.run_sync(self._snapshots.list, task)
        return JSONResponse({"snapshots": [asdict(one) for one in found if one.principal == principal]})

    async def _export(self, request: Request) -> Response:
        snapshot = await self._own_snapshot(request)
        with self._transfers.one(str(principal_of(request))) as transfer:
            stream = transfer.enter_context(await to_thread.run_sync(self._snapshots.open, snapshot))
            await self._tell(request, "snapshot.exported", **_facts(snapshot))
            report = report_of(Report(files=snapshot.files, bytes=snapshot.bytes))
            return TarResponse(stream, {"is_file": False, **report}, transfer.pop_all())

    async def _remove(self, request: Request) -> Response:
        snapshot = await self._own_snapshot(request)
        await to_thread.run_sync(self._snapshots.remove, snapshot)
        await self._tell(request, "snapshot.removed", **_facts(snapshot))
        return JSONResponse({"snapshot": snapshot.id, "removed": True})

    async def _own_snapshot(self, request: Request) -> Snapshot:
        """Somebody else's is told from one that does not exist by nothing."""
        wanted, principal = request.path_params["snapshot"], str(principal_of(request))
        for one in await to_thread.run_sync(self._snapshots.list):
            if one.id == wanted and one.principal == principal:
                return one
        raise WorkspaceError(f"You have no snapshot {wanted[:80]!a}. See `muxi-runtime workspace snapshots`.")

    async def _tell(self, request: Request, kind: str, **data: object) -> None:
        await self._journal.append(
            Draft(kind, principal=str(principal_of(request)), task=request.path_params.get("task"), data=data)
        )


@asynccontextmanager
async def _standing_still(task: Task) -> AsyncIterator[None]:
    """No sandbox of the task changes a file meanwhile: what is taken, and what is restored, is one moment's."""
    async with AsyncExitStack() as stack:
        for owner in list(task.owners.values()):
            await stack.enter_async_context(owner.still())
        yield


def _labels(request: Request) -> Reasons:
    """What the files carry, as whoever puts them there says."""
    try:
        return {Label(text): "files that carry it were put into its workspace" for text in _said(request)}
    except ValueError:
        raise WorkspaceError(f"Labels are {' and '.join(Label)}.") from None


def _said(request: Request) -> list[str]:
    return request.query_params.getlist("label")


def _path(request: Request) -> str:
    return request.query_params.get("path", "").rstrip("/")


async def _is_file(entries: Callable[[str], Awaitable[Any]], path: str) -> bool:
    """Whether a path that could be packed is a file: it is no folder."""
    try:
        await entries(path)
    except WorkspaceError:
        return True
    return False


def _counts(facts: dict[str, Any]) -> dict[str, Any]:
    return {name: facts[name] for name in ("files", "folders", "bytes", "left_out")}


def _facts(snapshot: Snapshot) -> dict[str, Any]:
    return {"snapshot": snapshot.id, "of_task": snapshot.task, "bytes": snapshot.bytes, "files": snapshot.files}


def _refusal(code: str, error: Exception | str, status: int) -> Response:
    return JSONResponse({"error": code, "error_description": str(error)}, status)
