"""The tool `run`: a program in a fresh process."""

from __future__ import annotations

import os

from muxi_servers.code.images import find_images
from muxi_servers.kit.content import ToolResult, text
from muxi_servers.kit.errors import LaunchError, ToolError
from muxi_servers.kit.removal import TemporaryFolder
from muxi_servers.kit.report import FILES_SCHEMA, OUTCOME_PROPERTIES, describe, files_text, to_json
from muxi_servers.kit.snapshot import Changes, take_snapshot
from muxi_servers.kit.tools import object_schema
from muxi_servers.kit.watch import Limits, watch
from muxi_servers.kit.workspace import OsErrors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from muxi_servers.kit.call import Call
    from muxi_servers.kit.launch import Launcher
    from muxi_servers.kit.watch import Outcome
    from muxi_servers.kit.workspace import Workspace

__all__ = ["RUN_OUTPUT", "Fresh"]

RUN_OUTPUT = object_schema(
    {**OUTCOME_PROPERTIES, "files": FILES_SCHEMA, "images": {"type": "array", "items": {"type": "string"}}}
)
_FILES = {"python": "main.py", "bash": "main.sh", "javascript": "main.js"}


class Fresh:
    """Runs programs one by one, each from its own temporary folder."""

    def __init__(self, launcher: Launcher, workspace: Workspace) -> None:
        self._launcher = launcher
        self._workspace = workspace

    def run(self, call: Call, arguments: dict[str, Any]) -> ToolResult:
        """See the tool's description.

        Raises:
            ToolError: it could not be started.
        """
        before = take_snapshot(self._workspace)
        outcome = self._execute(call, arguments)
        changes = Changes(before, take_snapshot(self._workspace))
        files = changes.to_json()
        wanted = [*changes.created, *changes.modified] if arguments["return_images"] else []
        images = find_images(self._workspace, wanted)
        result = {**to_json(outcome), "files": files, "images": [path for path, _ in images]}
        lines = [describe(result, arguments["timeout_seconds"]), files_text(files)]
        content = [text("\n".join(line for line in lines if line)), *(block for _, block in images)]
        return ToolResult(content, result)

    def _execute(self, call: Call, arguments: dict[str, Any]) -> Outcome:
        limits = Limits(arguments["timeout_seconds"], int(arguments["max_output_bytes"]))
        with OsErrors("/tmp"), TemporaryFolder() as temporary:  # noqa: S108 - a name for a message  # nosec B108
            path = temporary.write(_FILES[arguments["language"]], arguments["code"].encode())
            folder = self._open_cwd(arguments["cwd"])
            try:
                program = self._launcher.start(
                    _request(arguments["language"], path, arguments["args"]), folder=folder, temporary=temporary.path
                )
            except LaunchError as error:
                raise ToolError(str(error)) from None
            finally:
                os.close(folder)
            with program:
                return watch(program, limits, call, arguments["stdin"].encode())

    def _open_cwd(self, path: str) -> int:
        with self._workspace.locate(path) as place, OsErrors(path):
            return place.open_folder()


def _request(language: str, path: str, args: list[str]) -> dict[str, object]:
    if any("\0" in arg for arg in args):
        raise ToolError("An argument of a program cannot have a NUL character in it.")
    if language == "python":
        return {"function": "muxi_servers.kit.program:run_script", "args": [path, *args]}
    return {"argv": ["bash" if language == "bash" else "node", path, *args]}
