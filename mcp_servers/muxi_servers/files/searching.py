"""The tool `grep`. The expression runs in a process of its own: one that takes for ever can be ended."""

from __future__ import annotations

import os
import stat

from muxi_servers.kit.codec import decode, encode
from muxi_servers.kit.content import ToolResult, text
from muxi_servers.kit.errors import FrameError, LaunchError, ToolError
from muxi_servers.kit.tools import object_schema
from muxi_servers.kit.watch import Limits, watch
from muxi_servers.kit.workspace import OsErrors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from muxi_servers.kit.call import Call
    from muxi_servers.kit.launch import Launcher, Program
    from muxi_servers.kit.workspace import Workspace

__all__ = ["GREP_OUTPUT", "Searching"]

_SECONDS = 10.0
_OUTPUT_BYTES = 8 * 2**20
_LINES = {"type": "array", "items": {"type": "string"}}
GREP_OUTPUT = object_schema(
    {
        "matches": {
            "type": "array",
            "items": object_schema(
                {
                    "path": {"type": "string"},
                    "line": {"type": "integer", "minimum": 1},
                    "text": {"type": "string", "description": "at most 500 characters of the line"},
                    "before": _LINES,
                    "after": _LINES,
                }
            ),
        },
        "files_searched": {"type": "integer", "minimum": 0},
        "files_skipped": {"type": "integer", "minimum": 0, "description": "binary, too big, or not to be read"},
        "complete": {"type": "boolean", "description": "false if there may be more matches"},
    }
)


class Searching:
    """Looks into files."""

    def __init__(self, launcher: Launcher, workspace: Workspace) -> None:
        self._launcher = launcher
        self._workspace = workspace

    def grep(self, call: Call, arguments: dict[str, Any]) -> ToolResult:
        """See the tool's description.

        Raises:
            ToolError: the expression is no expression or takes too long, or the path leads nowhere.
        """
        with self._start(arguments) as program:
            outcome = watch(program, Limits(_SECONDS, _OUTPUT_BYTES), call)
        if outcome.reason == "timeout":
            raise ToolError(f"The search took longer than {_SECONDS:g} s: use a simpler expression or a narrower path.")
        try:
            found = decode(outcome.stdout.text().encode())
        except FrameError:
            raise ToolError(f"The search failed: {outcome.stderr.text()[-500:].strip() or outcome.reason}") from None
        if "error" in found:
            raise ToolError(
                f"pattern is not a regular expression: {found['error']}. Set literal to search for it as it is."
            )
        return ToolResult([text(_words(found))], found)

    def _start(self, arguments: dict[str, Any]) -> Program:
        path = arguments["path"]
        with self._workspace.locate(path) as place, OsErrors(path):
            status = os.stat(place.name, dir_fd=place.folder, follow_symlinks=False)
            is_folder = stat.S_ISDIR(status.st_mode)
            folder = place.open_folder() if is_folder else os.dup(place.folder)
        where = {"name": "" if is_folder else place.name, "prefix": _prefix(place.path, is_folder=is_folder)}
        request = encode({**arguments, **where}).decode()
        try:
            return self._launcher.start(
                {"function": "muxi_servers.files.grep:main", "args": [request]},
                folder=folder,
                temporary="/tmp",  # noqa: S108 - the sandbox's own  # nosec B108
            )
        except LaunchError as error:
            raise ToolError(str(error)) from None
        finally:
            os.close(folder)


def _prefix(path: str, *, is_folder: bool) -> str:
    """What the paths that are found are below."""
    if not is_folder:
        path = path.rpartition("/")[0]
    return "" if path in {"", "."} else f"{path}/"


def _words(found: dict[str, Any]) -> str:
    lines = []
    for match in found["matches"]:
        first = match["line"] - len(match["before"])
        lines += [f"{match['path']}-{first + index}-{line}" for index, line in enumerate(match["before"])]
        lines.append(f"{match['path']}:{match['line']}:{match['text']}")
        lines += [f"{match['path']}-{match['line'] + 1 + index}-{line}" for index, line in enumerate(match["after"])]
    skipped = f", {found['files_skipped']} skipped" if found["files_skipped"] else ""
    more = "" if found["complete"] else "; there may be more: narrow it, or raise max_matches"
    lines.append(f"[{len(found['matches'])} matches in {found['files_searched']} files{skipped}{more}]")
    return "\n".join(lines)
