"""Snapshots of workspaces: a plain tar and a few facts beside it, in the runtime's own folder.

    <folder>/<task>/<id>.tar     what `WorkspaceFiles.pack` wrote, mode 0600
    <folder>/<task>/<id>.json    `Snapshot`; it comes last, so a tar without it was never finished

Above it: the control API, keeping a task over a restart. Below it: a `WorkspaceFiles`.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, BinaryIO

from anyio import to_thread

from muxi_sandbox.workspaces.contract import Bounds, WorkspaceError

if TYPE_CHECKING:
    from pathlib import Path

    from muxi_sandbox.workspaces.contract import Report, WorkspaceFiles
    from muxi_sandbox.workspaces.settings import SnapshotSettings

__all__ = ["Snapshot", "SnapshotStore"]

NAME = re.compile(r"[a-z][a-z0-9-]{0,62}")
FACTS_BYTES = 64 * 1024
MIB = 2**20


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One of them. `bytes` and `files` are of the workspace, `sha256` is of the tar, `at` is UTC in ISO 8601."""

    id: str
    task: str
    principal: str
    at: str
    note: str
    bytes: int
    files: int
    left_out: int
    sha256: str


class SnapshotStore:
    """All snapshots below one folder, which only this user may enter."""

    def __init__(self, folder: Path, settings: SnapshotSettings) -> None:
        self._folder = folder
        self._settings = settings
        self._bounds = Bounds(bytes=settings.mib * MIB, entries=settings.entries)

    async def take(
        self, files: WorkspaceFiles, task: str, note: str = "", *, principal: str = ""
    ) -> tuple[Snapshot, Report]:
        """Keep what the workspace holds now. Whoever wants one moment's state pauses the task's sandboxes first.

        Raises:
            WorkspaceError: the task has as many as it may, or its workspace cannot be read. Nothing is kept.
        """
        await to_thread.run_sync(self._make_room, task, principal)
        id_ = f"s-{secrets.token_hex(8)}"
        tar = self._path(task, id_, "tar")
        stream = await to_thread.run_sync(_create, tar)
        try:
            with stream:
                report = await files.pack("", stream, self._bounds)
                digest = await to_thread.run_sync(_finish, stream)
            at = datetime.now(UTC).isoformat(timespec="seconds")
            snapshot = Snapshot(
                id_, task, principal, at, note[:200], report.bytes, report.files, report.left_out, digest
            )
            await to_thread.run_sync(self._write_facts, snapshot)
        except BaseException:
            tar.unlink(missing_ok=True)
            raise
        return snapshot, report

    async def restore(self, snapshot: Snapshot, files: WorkspaceFiles) -> Report:
        """Make the workspace hold what the snapshot holds, and nothing else.

        Raises:
            WorkspaceError: the snapshot was changed or is gone, or does not fit; the workspace is as it was then.
        """
        with await to_thread.run_sync(self.open, snapshot) as stream:
            return await files.replace(stream, self._bounds)

    def open(self, snapshot: Snapshot) -> BinaryIO:
        """Its tar, checked against what was written down when it was taken. Blocking.

        Raises:
            WorkspaceError: it was changed or is gone.
        """
        try:
            stream = self._path(snapshot.task, snapshot.id, "tar").open("rb")
        except OSError as error:
            raise WorkspaceError(f"The tar of snapshot {snapshot.id} cannot be read: {error.strerror}.") from error
        if hashlib.file_digest(stream, "sha256").hexdigest() != snapshot.sha256:
            stream.close()
            raise WorkspaceError(f"Snapshot {snapshot.id} is damaged: its tar is not what was written. Remove it.")
        stream.seek(0)
        return stream

    def list(self, task: str | None = None) -> list[Snapshot]:
        """Those of a task, or all, oldest first. Facts that cannot be read are left out. Blocking."""
        pattern = f"{_name(task)}/*.json" if task is not None else "*/*.json"
        found = [_read_facts(path) for path in self._folder.glob(pattern)]
        return sorted((one for one in found if one is not None), key=lambda one: (one.at, one.id))

    def find(self, id_: str) -> Snapshot:
        """The one of that id. Blocking.

        Raises:
            WorkspaceError: there is none.
        """
        for one in self.list():
            if one.id == id_:
                return one
        raise WorkspaceError(f"There is no snapshot {id_[:80]!a}.")

    def remove(self, snapshot: Snapshot) -> None:
        """Forget it; no error if it is gone. Blocking."""
        for suffix in ("json", "tar"):
            self._path(snapshot.task, snapshot.id, suffix).unlink(missing_ok=True)

    def sweep(self) -> int:
        """Remove what a killed process did not finish; how many files. To be called before any are taken. Blocking."""
        unfinished = [path for path in self._folder.glob("*/*.tar") if not path.with_suffix(".json").exists()]
        unfinished += self._folder.glob("*/*.new")
        for path in unfinished:
            path.unlink(missing_ok=True)
        for folder in self._folder.glob("*"):
            with suppress(OSError):  # most are not empty
                folder.rmdir()
        return len(unfinished)

    def _make_room(self, task: str, principal: str) -> None:
        limits, held = self._settings, self.list()
        of_task = sum(one.task == task for one in held)
        of_principal = sum(one.principal == principal for one in held)
        total = sum(one.bytes for one in held) // MIB
        for whose, count, most, limit in (
            (f"Task {task} has {of_task} snapshots", of_task, limits.per_task, "per_task"),
            (f"You have {of_principal} snapshots", of_principal, limits.per_principal, "per_principal"),
            (f"All snapshots together have {total} MiB", total, limits.total_mib, "total_mib"),
        ):
            if count >= most:
                raise WorkspaceError(f"{whose}, and {most} is the most. Remove some, or raise snapshots.{limit}.")
        self._folder.mkdir(mode=0o700, exist_ok=True)
        (self._folder / _name(task)).mkdir(mode=0o700, exist_ok=True)

    def _path(self, task: str, id_: str, suffix: str) -> Path:
        return self._folder / _name(task) / f"{_name(id_)}.{suffix}"

    def _write_facts(self, snapshot: Snapshot) -> None:
        path = self._path(snapshot.task, snapshot.id, "json")
        with _create(path.with_suffix(".new")) as stream:
            stream.write(json.dumps(asdict(snapshot), indent=2).encode() + b"\n")
            stream.flush()
            os.fsync(stream.fileno())
        path.with_suffix(".new").replace(path)


def _name(text: str) -> str:
    if not NAME.fullmatch(text):
        raise WorkspaceError(f"{text[:80]!a} is no name of a task or snapshot.")
    return text


def _create(path: Path) -> BinaryIO:
    opened = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    return os.fdopen(opened, "w+b")


def _finish(stream: BinaryIO) -> str:
    stream.flush()
    os.fsync(stream.fileno())
    stream.seek(0)
    return hashlib.file_digest(stream, "sha256").hexdigest()  # type: ignore[arg-type]  # w+b is readable


def _read_facts(path: Path) -> Snapshot | None:
    try:
        with path.open("rb") as stream:
            found = json.loads(stream.read(FACTS_BYTES))
        snapshot = Snapshot(**found)
    except (OSError, ValueError, TypeError):
        return None
    return snapshot if (snapshot.task, f"{snapshot.id}.json") == (path.parent.name, path.name) else None
