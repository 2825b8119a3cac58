"""`execute` on the server's side: copies the database, has the copy changed in sealed processes, and puts it in place.

All statements of a call take effect or none, whatever ends it: until its last step the workspace holds the database as
it was. What is not of the caller's doing, another program's change in the meantime, is noticed and refused.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from threading import Lock

from muxi_servers.data.logs import check_no_log
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

    def execute(self, run: Run, sql: str, database: str, seconds: float) -> dict[str, Any]:
        """Run the statements; the result is the tool's. `run` has a function answer a request, in a process of its own.

        Raises:
            ToolError: nothing was changed; why.
        """
        check_may_write()
        if not self._one.acquire(timeout=seconds):
            raise ToolError("Another execute of this task takes long: wait for it, then do this again.")
        try:
            with ExitStack() as files:
                return _Change(self._workspace, run, database.removeprefix(_PREFIX), files).execute(sql)
        finally:
            self._one.release()


class _Change:
    """One call. `files` takes away what is not kept."""

    def __init__(self, workspace: Workspace, run: Run, database: str, files: ExitStack) -> None:
        self._workspace = workspace
        self._run = run
        self._path = database
        self._files = files
        self._before = self._identity()

    def execute(self, sql: str) -> dict[str, Any]:
        sqlite = bool(self._path) and self._is_sqlite()
        targets: list[NewFile] = []
        new = self._new(self._path, overwrite=self._before is not None, beside=_LOGS) if self._path else None
        if self._path:
            check_no_log(self._workspace, self._path)
        if new and sqlite:
            request = {"source": self._path if self._before else "", "into": new.temporary, "sql": sql}
            told = self._run("changing:change_sqlite", request)
        else:
            told, targets = self._duckdb(sql, new)
        size = self._keep(new) if new else None
        files = [
            {"file": target.path, "rows": one["rows"], "size_bytes": target.keep()}
            for target, one in zip(targets, told["copies"], strict=True)
        ]
        return {
            "database": new.path if new else None,
            "size_bytes": size,
            "changed_rows": told["changed"],
            "files": files,
        }

    def _duckdb(self, sql: str, new: NewFile | None) -> tuple[dict[str, Any], list[NewFile]]:
        """What `change` told, and the files that COPY statements wrote."""
        plan = self._run("changing:plan", {"sql": sql})
        copies = [one for one in plan["statements"] if one["file"]]
        if new is None and not copies:
            raise ToolError("Nothing of this would last: name the database that it changes, or write COPY ... TO.")
        targets = [self._new(one["file"], overwrite=True) for one in copies]
        paths = [target.path for target in [*targets, *([new] if new else [])]]
        if len(set(paths)) < len(paths):
            raise ToolError("Two statements write one file, or a COPY the database itself: give each its own.")
        outs = [self._out(target, one["format"]) for target, one in zip(targets, copies, strict=True)]
        if new and self._before:
            self._fill(new)
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
        return (found.st_ino, found.st_size, found.st_mtime_ns) if found else None

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

    def _fill(self, new: NewFile) -> None:
        with self._workspace.locate(self._path) as place, OsErrors(self._path):
            fd = open_regular(place.folder, place.name)
        try:
            new.fill(fd)
        finally:
            os.close(fd)

    def _keep(self, new: NewFile) -> int:
        if self._identity() != self._before:
            raise ToolError(
                f"{self._path} was changed by something else meanwhile, so this changed nothing: try again."
            )
        check_no_log(self._workspace, self._path)
        return new.keep()
