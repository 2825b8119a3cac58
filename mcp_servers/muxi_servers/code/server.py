"""The tools of the `code` server."""

from __future__ import annotations

from muxi_servers.code.fresh import RUN_OUTPUT, Fresh
from muxi_servers.code.sessions import INTERRUPT_OUTPUT, RESET_OUTPUT, SESSION_OUTPUT, Sessions
from muxi_servers.kit.network import network_words
from muxi_servers.kit.server import Server
from muxi_servers.kit.tools import Tool, arguments_schema

TYPE_CHECKING = False
if TYPE_CHECKING:
    from muxi_servers.kit.launch import Launcher
    from muxi_servers.kit.workspace import Workspace

__all__ = ["build"]

_INFO = {"name": "muxi-code", "title": "Code", "version": "0.1.0"}
_INSTRUCTIONS = (
    "Runs code in a sandbox of this task. Files in the workspace (the working folder) stay from call to call, and the "
    "variables of a session; count on nothing else. Use run for scripts, session_run to work step by step."
)
_CODE = {"type": "string", "minLength": 1, "maxLength": 1_000_000, "description": "the source"}
_SECONDS = {
    "type": "number",
    "minimum": 0.1,
    "maximum": 600,
    "default": 60,
    "description": "how long it may run before it is killed",
}
_BYTES = {
    "type": "integer",
    "minimum": 200,
    "maximum": 1_000_000,
    "default": 50_000,
    "description": "how much of each output is returned: beginning and end, the middle left out",
}
_SESSION = {
    "type": "string",
    "minLength": 1,
    "maxLength": 40,
    "default": "main",
    "description": "name of the session; another name is another, separate one",
}


def build(launcher: Launcher, workspace: Workspace) -> Server:
    """The server, ready to serve."""
    sessions = Sessions(launcher, workspace)
    return Server(_INFO, _INSTRUCTIONS, [_run_tool(Fresh(launcher, workspace)), *_session_tools(sessions)])


def _run_tool(fresh: Fresh) -> Tool:
    return Tool(
        "run",
        fresh.run,
        title="Run code",
        description=(
            "Run a Python, Bash or JavaScript program in a fresh process with the workspace as its working folder. "
            "Returns what it printed, its exit code and the files it created or changed. Nothing that it started "
            f"is left running. {network_words()}"
        ),
        arguments=arguments_schema(
            language={"type": "string", "enum": ["python", "bash", "javascript"]},
            code=_CODE,
            args={
                "type": "array",
                "items": {"type": "string", "maxLength": 10_000},
                "maxItems": 64,
                "default": [],
                "description": "arguments of the program",
            },
            stdin={"type": "string", "default": "", "description": "what it reads from standard input"},
            cwd={"type": "string", "default": ".", "description": "its working folder, below the workspace"},
            timeout_seconds=_SECONDS,
            max_output_bytes=_BYTES,
            return_images={
                "type": "boolean",
                "default": False,
                "description": "also return the images that it wrote (PNG, JPEG, GIF, WebP; up to 4) to look at",
            },
        ),
        output=RUN_OUTPUT,
        destructive=True,
        reaches=True,
    )


def _session_tools(sessions: Sessions) -> list[Tool]:
    return [
        Tool(
            "session_run",
            sessions.run,
            title="Run Python in a session",
            description=(
                "Run Python in a session whose variables and imports stay between calls. Returns what was printed and "
                "the value of the last expression; matplotlib figures and PIL images as images, pandas tables as "
                "tables; display(x) shows more than one. Top-level await works. Programs that it starts end with "
                f"the call, and threads pause until the next. {network_words()}"
            ),
            arguments=arguments_schema(code=_CODE, session=_SESSION, timeout_seconds=_SECONDS, max_output_bytes=_BYTES),
            output=SESSION_OUTPUT,
            destructive=True,
            reaches=True,
        ),
        Tool(
            "session_interrupt",
            sessions.interrupt,
            title="Interrupt a session",
            description="Stop what a session is running now, as Ctrl-C does; its variables stay.",
            arguments=arguments_schema(session=_SESSION),
            output=INTERRUPT_OUTPUT,
            idempotent=True,
            quick=True,
        ),
        Tool(
            "session_reset",
            sessions.reset,
            title="Reset a session",
            description="End a session and forget its variables. The next session_run begins a new one.",
            arguments=arguments_schema(session=_SESSION),
            output=RESET_OUTPUT,
            destructive=True,
            idempotent=True,
        ),
    ]
