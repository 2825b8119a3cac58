"""`execute` on the server's side: copies the database, has the copy changed in sealed processes, and puts it in place.

All statements on the database take effect or none, whatever ends the call: the last step is the one rename that puts
the copy in the database's place. Other programs are kept from changing it meanwhile (`locks.py`), or it is refused.
The files of COPY are put in place before that, by one rename each, after a look at all that could hinder one of them.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from itertools import pairwise
from threading import Lock
from time import monotonic

from muxi_servers.data.locks import HeldDatabase
from muxi_servers.data.logs import check_no_log, check_not_open
from muxi_servers.data.saving import NewFile
from muxi_servers.kit.errors import ToolError
from muxi_servers.kit.workspace import OsErrors, open_regular

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from muxi_servers.kit.workspace import Workspace

    Run = Callable[[str, dict[str, Any]], dict[str, Any]]

__all__ = ["Writing", "check_may_write"]

_SQLITE = (".sqlite", ".sqlite3")
_DUCKDB = ".duckdb"
_MARK = b"SQLite format 3\0"
_LOGS = (".wal", ".wal.checkpoint", ".wal.recovery")
_BESIDE = (*_LOGS, "-wal", "-shm", "-journal")
_MAX_COPIES = 20
_LOOK_AGAIN_SECONDS = 0.2
_PREFIX = "/workspace/"


def check_may_write() -> None:
    """Raises ToolError where the operator did not allow statements that change things."""
    if os.environ.get("DATA_WRITE") != "allow":
        raise ToolError(
            "This server only reads: statements that change things are not allowed. An operator can allow them in "
            "muxi.yaml: servers.data.environment.DATA_WRITE: allow. To read, use query; for a new file, export."
        )


class Writing:
    """Changes one database at a time."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._one = Lock()

    def execute(
        self, run: Run, sql: str, database: str, seconds: float, *, cancelled: Callable[[], bool] = lambda: False
    ) -> dict[str, Any]:
        """Run the statements; the result is the tool's. `run` has a function answer a request, in a process of its own.

        Raises:
            ToolError: the database was not changed; why, and which files of COPY are in place all the same.
        """
        check_may_write()
        self._wait_for_turn(seconds, cancelled)
        try:
            with ExitStack() as files:
                return _Change(self._workspace, run, database.removeprefix(_PREFIX), files).execute(sql)
        finally:
            self._one.release()

    def _wait_for_turn(self, seconds: float, cancelled: Callable[[], bool]) -> None:
        until = monotonic() + seconds
        while not self._one.acquire(timeout=_LOOK_AGAIN_SECONDS):
            if cancelled():
                raise ToolError("The change was cancelled.")
            if monotonic() > until:
                raise ToolError("Another execute of this task takes long: wait for it, then do this again.")


class _Change:
    """One call. `files` takes away what is not kept."""

    def __init__(self, workspace: Workspace, run: Run, database: str, files: ExitStack) -> None:
        self._workspace = workspace
        self._run = run
        self._path = database
        self._files = files
        self._held: HeldDatabase | None = None
        self._sqlite = False
        self._before = self._identity()

    def execute(self, sql: str) -> dict[str, Any]:
        self._sqlite = bool(self._path) and self._is_sqlite()
        if self._before:
            self._held = self._files.enter_context(HeldDatabase(self._workspace, self._path, sqlite=self._sqlite))
        if self._path:
            self._check_unchanged()
        targets: list[NewFile] = []
        new = self._new(self._path, overwrite=self._before is not None, beside=_LOGS) if self._path else None
        if new and self._sqlite:
            request = {"source": self._path if self._before else "", "into": new.temporary, "sql": sql}
            told = self._run("changing:change_sqlite", request)
        else:
            told, targets = self._duckdb(sql, new)
        sizes = self._keep(targets, new)
        files = [
            {"file": target.path, "rows": one["rows"], "size_bytes": size}
            for target, one, size in zip(targets, told["copies"], sizes, strict=False)
        ]
        return {
            "database": new.path if new else None,
            "size_bytes": sizes[-1] if new else None,
            "changed_rows": told["changed"],
            "files": files,
        }

    def _duckdb(self, sql: str, new: NewFile | None) -> tuple[dict[str, Any], list[NewFile]]:
        """What `change` told, and the files that COPY statements wrote."""
        plan = self._run("changing:plan", {"sql": sql})
        copies = [one for one in plan["statements"] if one["file"]]
        if new is None and not copies:
            raise ToolError("Nothing of this would last: name the database that it changes, or write COPY ... TO.")
        if len(copies) > _MAX_COPIES:
            raise ToolError(f"{len(copies)} statements are COPY: one call writes {_MAX_COPIES} files at most.")
        targets = [self._new(one["file"], overwrite=True) for one in copies]
        _check_apart([target.path for target in targets], new.path if new else "")
        outs = [self._out(target, one["format"]) for target, one in zip(targets, copies, strict=True)]
        if new and self._held:
            new.fill(self._held.descriptor)
        into = new.temporary if new else ""
        request = {**plan, "outs": [out.temporary for out in outs], "into": into, "fresh": self._before is None}
        told = self._run("changing:change", request)
        if new:
            self._run("changing:settle", {"into": into})
        for target, out, one in zip(targets, outs, told["copies"], strict=True):
            if out is not target:
                columns = {"source": out.temporary, "into": target.temporary, "columns": one["columns"]}
                self._run("exporting:convert", columns)
        return told, targets

    def _new(self, path: str, *, overwrite: bool, beside: tuple[str, ...] = ()) -> NewFile:
        plain = path.removeprefix(_PREFIX)
        return self._files.enter_context(NewFile(self._workspace, plain, overwrite=overwrite, beside=beside))

    def _out(self, target: NewFile, form: str) -> NewFile:
        """Where the rows go first: Parquet is made of a CSV."""
        return self._new(f"{target.path}.part", overwrite=False) if form == "parquet" else target

    def _identity(self) -> tuple[int, int, int] | None:
        """Of the database as it is; none if there is none."""
        if not self._path:
            return None
        try:
            with self._workspace.locate(self._path) as place:
                found = place.stat()
        except ToolError:
            return None
        return _identity_of(found) if found else None

    def _is_sqlite(self) -> bool:
        if self._before:
            with self._workspace.locate(self._path) as place, OsErrors(self._path):
                fd = open_regular(place.folder, place.name)
            try:
                return os.read(fd, len(_MARK)) == _MARK
            finally:
                os.close(fd)
        lowered = self._path.lower()
        if not lowered.endswith((*_SQLITE, _DUCKDB)):
            raise ToolError(f"{self._path} does not exist. A new database ends in .duckdb, .sqlite or .sqlite3.")
        return lowered.endswith(_SQLITE)

    def _check_unchanged(self) -> None:
        """The database is the one that is held, or there is none yet; and no log is beside it."""
        if self._identity() != self._before or (self._held and _identity_of(self._held.status()) != self._before):
            raise ToolError(
                f"{self._path} was changed by something else meanwhile, so this changed nothing: try again."
            )
        check_no_log(self._workspace, self._path)
        if self._sqlite:
            check_not_open(self._workspace, self._path)

    def _keep(self, targets: list[NewFile], new: NewFile | None) -> list[int]:
        """Put all in place, the database last; the size of each in bytes. What would hinder it is looked for first."""
        every = [*targets, *([new] if new else [])]
        for file in every:
            file.check()
        if self._held:
            self._held.keep_readers_out()
        if self._path:
            self._check_unchanged()
        sizes: list[int] = []
        for file in every:
            try:
                sizes.append(file.keep())
            except ToolError as error:
                raise ToolError(f"{error}{_say_kept(every[: len(sizes)])}") from None
        return sizes


def _identity_of(found: os.stat_result) -> tuple[int, int, int]:
    return found.st_ino, found.st_size, found.st_mtime_ns


def _check_apart(targets: list[str], database: str) -> None:
    """Raises ToolError where one path is another, or below another, or beside the database as a log of it."""
    if any(target == database + ending for target in targets for ending in _BESIDE if database):
        raise ToolError("A COPY writes a file that programs take for a log of the database: give it another name.")
    paths = sorted(path.split("/") for path in [*targets, *([database] if database else [])])
    # Sorted part by part, what is below a path comes right after it.
    if any(path == longer[: len(path)] for path, longer in pairwise(paths)):
        raise ToolError(
            "Two statements write one file, or one below the other's name, or a COPY the database itself: give each "
            "its own."
        )


def _say_kept(files: list[NewFile]) -> str:
    if not files:
        return ""
    return f" These files are in place already: {', '.join(file.path for file in files)}. The database is as it was."
