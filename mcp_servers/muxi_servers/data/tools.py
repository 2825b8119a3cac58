"""The tools, on the server's side: they ask a sealed process, and write what it may not."""

from __future__ import annotations

import os
from binascii import a2b_base64

from muxi_servers.data.deadlines import Deadline
from muxi_servers.data.saving import NewFile
from muxi_servers.data.writing import Writing
from muxi_servers.kit.apart import ask_apart
from muxi_servers.kit.content import ToolResult, image, text
from muxi_servers.kit.errors import ToolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from muxi_servers.kit.call import Call
    from muxi_servers.kit.launch import Launcher
    from muxi_servers.kit.workspace import Workspace

__all__ = ["Data"]

_SHOWN_ROWS = 50
_SHOWN_COLUMNS = 20


class Data:
    """Works on files of the workspace."""

    def __init__(self, launcher: Launcher, workspace: Workspace) -> None:
        self._launcher = launcher
        self._workspace = workspace
        self._writing = Writing(workspace)

    def query(self, call: Call, arguments: dict[str, Any]) -> ToolResult:
        """See the tool's description.

        Raises:
            ToolError: the query is none, fails, or names what cannot be read.
        """
        told = self._ask(call, "query", arguments, "The query")
        return ToolResult([text(_query_words(told))], told)

    def schema(self, call: Call, arguments: dict[str, Any]) -> ToolResult:
        """See the tool's description.

        Raises:
            ToolError: a file that is named cannot be read.
        """
        if arguments["path"] and arguments["database"]:
            raise ToolError("Give path or database, not both.")
        told = self._ask(call, "schema", {"sql": "", **arguments}, "Looking at the files")
        lines = []
        for table in told["tables"]:
            columns = ", ".join(f"{column['name']} {column['type']}" for column in table["columns"])
            lines.append(f"{table['name']}: {table['problem'] or columns or 'a database'}")
        more = [] if told["complete"] else ["[and more files, or some that were not looked into: name one with path]"]
        return ToolResult([text("\n".join([*lines, *more]) or "[no data files]")], told)

    def profile(self, call: Call, arguments: dict[str, Any]) -> ToolResult:
        """See the tool's description.

        Raises:
            ToolError: as for query.
        """
        told = self._ask(call, "profile", arguments, "The profile")
        lines = [f"{told['rows']} rows", *map(_profile_line, told["columns"])]
        return ToolResult([text("\n".join(lines))], told)

    def chart(self, call: Call, arguments: dict[str, Any]) -> ToolResult:
        """See the tool's description.

        Raises:
            ToolError: as for query; or the columns do not fit, or the file cannot be written.
        """
        file = arguments["file"]
        vector = file.lower().endswith(".svg")
        if file and not vector and not file.lower().endswith(".png"):
            raise ToolError("The file of a chart ends in .png or .svg.")
        told = self._ask(call, "chart", {**arguments, "svg": vector}, "The chart")
        picture = a2b_base64(told.pop("png"))
        drawn = a2b_base64(told.pop("svg")) if vector else picture
        if file:
            with NewFile(self._workspace, file, overwrite=arguments["overwrite"]) as new:
                new.write(drawn)
                new.keep()
        result = {**told, "file": file or None}
        words = f"{arguments['kind']} of {', '.join(told['series'])}, {told['points']} rows"
        where = f", written to {file}" if file else ""
        return ToolResult([text(words + where), image(picture, "image/png")], result)

    def export(self, call: Call, arguments: dict[str, Any]) -> ToolResult:
        """See the tool's description.

        Raises:
            ToolError: as for query; or the file cannot be written.
        """
        with NewFile(self._workspace, arguments["file"], overwrite=arguments["overwrite"]) as new:
            if arguments["format"] == "parquet":
                told = self._export_parquet(call, arguments, new)
            else:
                told = self._ask(call, "export", {**arguments, "into": new.temporary}, "The export")
            size = new.keep()
        result = {"file": new.path, "size_bytes": size, **told}
        return ToolResult([text(f"Wrote {told['rows']} rows to {new.path}, {size} bytes.")], result)

    def execute(self, call: Call, arguments: dict[str, Any]) -> ToolResult:
        """See the tool's description.

        Raises:
            ToolError: the operator did not allow it, or a statement failed; nothing was changed then.
        """
        deadline = Deadline(arguments["timeout_seconds"], "The change")

        def run(function: str, request: dict[str, Any]) -> dict[str, Any]:
            return self._run(call, function, request, deadline, "The change")

        told = self._writing.execute(
            run, arguments["sql"], arguments["database"], deadline.left(), cancelled=lambda: call.cancelled
        )
        words = [f"Changed {told['changed_rows']} rows of {told['database']}."] if told["database"] else []
        words += [f"Wrote {one['rows']} rows to {one['file']}, {one['size_bytes']} bytes." for one in told["files"]]
        return ToolResult([text("\n".join(words))], told)

    def _export_parquet(self, call: Call, arguments: dict[str, Any], new: NewFile) -> dict[str, Any]:
        """By way of a CSV, because the process that runs the caller's SQL can open nothing to write."""
        deadline = Deadline(arguments["timeout_seconds"], "The export")
        with NewFile(self._workspace, f"{new.path}.part", overwrite=False) as middle:
            request = {**arguments, "operation": "export", "into": middle.temporary}
            told = self._run(call, "work:main", request, deadline, "The export")
            request = {"source": middle.temporary, "into": new.temporary, "columns": told["columns"]}
            self._run(call, "exporting:convert", request, deadline, "The export")
        return told

    def _ask(self, call: Call, operation: str, arguments: dict[str, Any], what: str) -> dict[str, Any]:
        request = {**arguments, "operation": operation}
        return self._run(call, "work:main", request, Deadline(arguments["timeout_seconds"], what), what)

    def _run(self, call: Call, function: str, request: dict[str, Any], deadline: Deadline, what: str) -> dict[str, Any]:
        left = deadline.left()
        folder = self._workspace.open()
        try:
            return ask_apart(
                self._launcher,
                call,
                f"muxi_servers.data.{function}",
                request,
                seconds=left,
                folder=folder,
                what=what,
                told_seconds=deadline.seconds,
            )
        finally:
            os.close(folder)


def _query_words(told: dict[str, Any]) -> str:
    from muxi_servers.data.values import markdown  # noqa: PLC0415 - `decimal` and `datetime`, which an idle server spares

    names = [column["name"] for column in told["columns"]][:_SHOWN_COLUMNS]
    rows = [row[:_SHOWN_COLUMNS] for row in told["rows"][:_SHOWN_ROWS]]
    total = told["total_rows"] if told["total_rows"] is not None else "more"
    shown = f"{len(rows)} of {total} rows" if len(rows) != total else f"{total} rows"
    columns = f", {len(names)} of {len(told['columns'])} columns" if len(names) < len(told["columns"]) else ""
    cut = f", {told['cut_cells']} values are cut: export has them whole" if told["cut_cells"] else ""
    return f"{markdown(names, rows)}\n[{shown}{columns}{cut}]"


def _profile_line(column: dict[str, Any]) -> str:
    parts = [f"{column['nulls']} missing", f"{column['distinct']} distinct"]
    if column["min"] is not None:
        parts.append(f"{column['min']} to {column['max']}")
    if column["mean"] is not None:
        parts.append(f"mean {column['mean']}")
    if column["top"]:
        parts.append("most: " + ", ".join(f"{one['value'][:40]} ({one['count']})" for one in column["top"][:5]))
    return f"{column['name']} {column['type']}: {'; '.join(parts)}"
