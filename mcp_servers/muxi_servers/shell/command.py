"""The tool `run`: one shell command, waited for."""

from __future__ import annotations

import os

from muxi_servers.kit.content import ToolResult, text
from muxi_servers.kit.errors import LaunchError, ToolError
from muxi_servers.kit.removal import TemporaryFolder
from muxi_servers.kit.report import OUTCOME_PROPERTIES, describe, to_json
from muxi_servers.kit.tools import object_schema
from muxi_servers.kit.watch import Limits, watch
from muxi_servers.kit.workspace import OsErrors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from muxi_servers.kit.call import Call
    from muxi_servers.kit.launch import Launcher, Program
    from muxi_servers.kit.workspace import Workspace

__all__ = ["RUN_OUTPUT", "Commands", "start_shell"]

RUN_OUTPUT = object_schema(OUTCOME_PROPERTIES)


def start_shell(launcher: Launcher, workspace: Workspace, arguments: dict[str, Any], temporary: str) -> Program:
    """Start `command` in `cwd`.

    Raises:
        ToolError: it could not be started.
    """
    command = arguments["command"]
    if "\0" in command:
        raise ToolError("A command cannot have a NUL character in it.")
    with workspace.locate(arguments["cwd"]) as place, OsErrors(arguments["cwd"]):
        folder = place.open_folder()
    try:
        return launcher.start({"argv": ["bash", "-c", command]}, folder=folder, temporary=temporary)
    except LaunchError as error:
        raise ToolError(str(error)) from None
    finally:
        os.close(folder)


class Commands:
    """Runs commands one by one."""

    def __init__(self, launcher: Launcher, workspace: Workspace) -> None:
        self._launcher = launcher
        self._workspace = workspace

    def run(self, call: Call, arguments: dict[str, Any]) -> ToolResult:
        """See the tool's description.

        Raises:
            ToolError: it could not be started.
        """
        limits = Limits(arguments["timeout_seconds"], int(arguments["max_output_bytes"]))
        with (
            OsErrors("/tmp"),  # noqa: S108 - a name for a message  # nosec B108
            TemporaryFolder() as temporary,
            start_shell(self._launcher, self._workspace, arguments, temporary.path) as program,
        ):
            outcome = watch(program, limits, call, arguments["stdin"].encode())
        result = to_json(outcome)
        return ToolResult([text(describe(result, limits.seconds))], result)
