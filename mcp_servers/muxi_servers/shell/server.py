"""The tools of the `shell` server."""

from __future__ import annotations

from muxi_servers.kit.network import network_words
from muxi_servers.kit.server import Server
from muxi_servers.kit.tools import Tool, arguments_schema
from muxi_servers.shell.background import LIST_OUTPUT, READ_OUTPUT, START_OUTPUT, STATE_OUTPUT, Background
from muxi_servers.shell.command import RUN_OUTPUT, Commands

TYPE_CHECKING = False
if TYPE_CHECKING:
    from muxi_servers.kit.launch import Launcher
    from muxi_servers.kit.workspace import Workspace

__all__ = ["build"]

_INFO = {"name": "muxi-shell", "title": "Shell", "version": "0.1.0"}
_INSTRUCTIONS = (
    "Runs shell commands in a sandbox of this task, with the workspace as the working folder. Each command is a "
    "process of its own: no variable and no working folder stays. Use process_start for what has to keep running."
)
_COMMAND = {"type": "string", "minLength": 1, "maxLength": 100_000, "description": "what to run, as for bash -c"}
_CWD = {"type": "string", "default": ".", "description": "working folder, below the workspace"}
_ID = {"type": "string", "minLength": 1, "maxLength": 20, "description": "as process_start returned it"}
_SIGNALS = ["SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGSTOP", "SIGCONT", "SIGKILL"]


def build(launcher: Launcher, workspace: Workspace) -> Server:
    """The server, ready to serve."""
    return Server(
        _INFO,
        _INSTRUCTIONS,
        [_run_tool(Commands(launcher, workspace)), *_process_tools(Background(launcher, workspace))],
    )


def _run_tool(commands: Commands) -> Tool:
    return Tool(
        "run",
        commands.run,
        title="Run a command",
        description=(
            "Run a shell command (bash) in the workspace and wait for it. Returns what it printed and its exit code. "
            f"Nothing that it started is left running: for that there is process_start. {network_words()}"
        ),
        arguments=arguments_schema(
            command=_COMMAND,
            cwd=_CWD,
            stdin={"type": "string", "default": "", "description": "what it reads from standard input"},
            timeout_seconds={"type": "number", "minimum": 0.1, "maximum": 600, "default": 60},
            max_output_bytes={"type": "integer", "minimum": 200, "maximum": 1_000_000, "default": 50_000},
        ),
        output=RUN_OUTPUT,
        destructive=True,
        reaches=True,
    )


def _process_tools(background: Background) -> list[Tool]:
    return [
        Tool(
            "process_start",
            background.start,
            title="Start a process",
            description="Start a shell command in the background. Returns its id for the other process tools.",
            arguments=arguments_schema(command=_COMMAND, cwd=_CWD),
            output=START_OUTPUT,
            destructive=True,
            reaches=True,
        ),
        Tool(
            "process_list",
            background.list,
            title="List processes",
            description="All processes that process_start began, with whether they still run.",
            arguments=arguments_schema(),
            output=LIST_OUTPUT,
            read_only=True,
            idempotent=True,
        ),
        Tool(
            "process_read",
            background.read,
            title="Read a process's output",
            description=(
                "Output of a background process (standard output and error as they came) from a position on. Pass the "
                "returned next_position to go on. Can wait a while for output, or for the end."
            ),
            arguments=arguments_schema(
                id=_ID,
                position={"type": "integer", "minimum": 0, "default": 0, "description": "bytes from the beginning"},
                max_bytes={"type": "integer", "minimum": 1, "maximum": 1_000_000, "default": 50_000},
                wait_seconds={"type": "number", "minimum": 0, "maximum": 60, "default": 0},
            ),
            output=READ_OUTPUT,
            read_only=True,
            idempotent=True,
        ),
        Tool(
            "process_write",
            background.write,
            title="Write to a process",
            description="Write text to the standard input of a background process, and close it if asked.",
            arguments=arguments_schema(
                id=_ID,
                text={"type": "string", "maxLength": 1_000_000, "default": ""},
                close={"type": "boolean", "default": False, "description": "let it see the end of its input"},
            ),
            output=STATE_OUTPUT,
            destructive=True,
        ),
        Tool(
            "process_signal",
            background.signal,
            title="Signal a process",
            description=(
                "Send a signal to a background process and its group. SIGKILL ends it with everything that it started."
            ),
            arguments=arguments_schema(id=_ID, signal={"type": "string", "enum": _SIGNALS, "default": "SIGTERM"}),
            output=STATE_OUTPUT,
            destructive=True,
        ),
    ]
