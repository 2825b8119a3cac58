"""Files of the workspace as tables: found, opened without following a link out, and named by their descriptors.

A file is opened once, by the kit's walk. The database then reads `/proc/self/fd/N`, and is told that it may open the
files behind those and nothing else: what a path leads to later does not matter. DuckDB files alone it opens anew by
their paths, and it is looked at afterwards whether that led to the same file.
"""

from __future__ import annotations

import os
import stat

from muxi_servers.data.logs import check_no_log
from muxi_servers.kit.errors import ToolError
from muxi_servers.kit.walk import walk
from muxi_servers.kit.workspace import OsErrors, open_regular

TYPE_CHECKING = False
if TYPE_CHECKING:
    from muxi_servers.kit.workspace import Workspace

__all__ = ["ENDINGS", "Source", "Sources", "is_data", "quoted"]

MAX_FILES = 200
_PREFIX = "/workspace/"
_CSV = "read_csv({})"
_GZIP_CSV = "read_csv({}, compression='gzip')"
_JSON = "read_json({})"
_GZIP_JSON = "read_json({}, compression='gzip')"
ENDINGS = {
    **dict.fromkeys((".csv", ".tsv"), _CSV),
    **dict.fromkeys((".csv.gz", ".tsv.gz"), _GZIP_CSV),
    **dict.fromkeys((".json", ".jsonl", ".ndjson"), _JSON),
    **dict.fromkeys((".json.gz", ".jsonl.gz", ".ndjson.gz"), _GZIP_JSON),
    **dict.fromkeys((".parquet", ".pq"), "read_parquet({})"),
}
DATABASES = (".sqlite", ".sqlite3", ".db", ".duckdb")


def quoted(text: str, quote: str = "'") -> str:
    """As SQL writes it: in single quotes for a text, in double ones for a name."""
    return quote + text.replace(quote, quote * 2) + quote


def _ending(path: str) -> str | None:
    lowered = path.lower()
    return next((ending for ending in sorted(ENDINGS, key=len, reverse=True) if lowered.endswith(ending)), None)


def is_data(path: str) -> bool:
    """Whether the name says that it is a table or a database."""
    return _ending(path) is not None or path.lower().endswith(DATABASES)


class Source:
    """One or more files that a query names as one: `path` as it is written there."""

    def __init__(self, path: str, descriptors: list[int]) -> None:
        self.path = path
        self._descriptors = descriptors

    @property
    def places(self) -> list[str]:
        """Where the database opens them."""
        return [f"/proc/self/fd/{descriptor}" for descriptor in self._descriptors]

    @property
    def literal(self) -> str:
        """The first argument of a function that reads files."""
        places = [quoted(place) for place in self.places]
        return places[0] if len(places) == 1 else f"[{', '.join(places)}]"

    @property
    def reader(self) -> str:
        """The call that reads it as a table."""
        ending = _ending(self.path)
        if ending is None:
            raise ToolError(f"{self.path} is no table by its name: those end in {', '.join(ENDINGS)}.")
        more = ", union_by_name=true" if len(self._descriptors) > 1 else ""
        return ENDINGS[ending].format(self.literal + more)


class Sources:
    """Opens files, and keeps them open until the process ends."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._opened: dict[str, Source] = {}

    def get(self, path: str) -> Source:
        """The files of a path, which may have `*` in its last part.

        Raises:
            ToolError: there is none, it is no file, or there are too many.
        """
        if path not in self._opened:
            plain = path.removeprefix(_PREFIX)
            names = self._matching(plain) if "*" in plain else [plain]
            self._opened[path] = Source(path, [self._open(name) for name in names])
        return self._opened[path]

    def check_no_log(self, path: str) -> None:
        """Raises ToolError where changes beside that SQLite file are not in it, or half in it: see `logs.py`."""
        check_no_log(self._workspace, path.removeprefix(_PREFIX), ("-wal",))

    def find(self, path: str) -> Source | None:
        """The same, `None` where there is nothing of that name."""
        try:
            return self.get(path)
        except ToolError:
            return None

    @staticmethod
    def is_table(path: str) -> bool:
        """Whether the name says that it is a table, and no database."""
        return _ending(path) is not None

    def all(self) -> list[Source]:
        """Everything that was opened."""
        return list(self._opened.values())

    def listed(self) -> tuple[list[tuple[str, int]], bool]:
        """(path, bytes) of each data file of the workspace, and whether these are all."""
        found: list[tuple[str, int]] = []
        root = self._workspace.open()
        for thing in walk(root):
            if stat.S_ISREG(thing.status.st_mode) and is_data(thing.path):
                if len(found) == MAX_FILES:
                    return found, False
                found.append((thing.path, thing.status.st_size))
        return found, True

    def _matching(self, pattern: str) -> list[str]:
        folder, _, last = pattern.rpartition("/")
        if "*" in folder:
            raise ToolError("A * can stand in the last part of a path only.")
        head, _, tail = last.partition("*")
        if "*" in tail:
            raise ToolError("A path can have one * only.")
        with self._workspace.locate(folder or ".") as place, OsErrors(folder):
            fd = place.open_folder()
        try:
            names = sorted(name for name in os.listdir(fd) if len(name) >= len(head) + len(tail))
        finally:
            os.close(fd)
        found = [name for name in names if name.startswith(head) and name.endswith(tail)]
        if not found:
            raise ToolError(f"No file fits {pattern}.")
        if len(found) > MAX_FILES:
            raise ToolError(f"{len(found)} files fit {pattern}; {MAX_FILES} at most can be read together.")
        return [f"{folder}/{name}" if folder else name for name in found]

    def _open(self, path: str) -> int:
        if "://" in path:
            raise ToolError(f"{path[:80]} is no file of the workspace: nothing is read from the network here.")
        with self._workspace.locate(path) as place, OsErrors(path):
            return open_regular(place.folder, place.name)
