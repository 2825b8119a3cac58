"""The tools `session_run`, `session_interrupt` and `session_reset`: Python processes that stay."""

from __future__ import annotations

import os
from threading import Lock

from muxi_servers.code.exchange import Exchange
from muxi_servers.code.reply import SESSION_OUTPUT, to_result
from muxi_servers.kit.content import ToolResult, text
from muxi_servers.kit.errors import LaunchError, ToolError
from muxi_servers.kit.tools import object_schema
from muxi_servers.kit.watch import Limits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from muxi_servers.kit.call import Call
    from muxi_servers.kit.launch import Launcher, Program
    from muxi_servers.kit.workspace import Workspace

__all__ = ["INTERRUPT_OUTPUT", "RESET_OUTPUT", "SESSION_OUTPUT", "Sessions"]

MAX_SESSIONS = 4
_INTERRUPT = 2
INTERRUPT_OUTPUT = object_schema(
    {"session": {"type": "string"}, "interrupted": {"type": "boolean", "description": "false if nothing ran"}}
)
RESET_OUTPUT = object_schema(
    {"session": {"type": "string"}, "ended": {"type": "boolean", "description": "false if there was none"}}
)


class _Session:
    """One named session. `busy` is held by the call that uses it."""

    def __init__(self) -> None:
        self.busy = Lock()
        self.program: Program | None = None
        self.running = False

    def drop(self) -> None:
        """End its process and wait until it and what it started are gone."""
        program, self.program = self.program, None
        if program is None:
            return
        with program:
            program.end()
            while program.receive()[0] not in {"exited", "lost"}:
                pass


class Sessions:
    """All sessions of the task, by name."""

    def __init__(self, launcher: Launcher, workspace: Workspace) -> None:
        self._launcher = launcher
        self._workspace = workspace
        self._sessions: dict[str, _Session] = {}
        self._lock = Lock()

    def run(self, call: Call, arguments: dict[str, Any]) -> ToolResult:
        """See the tool's description.

        Raises:
            ToolError: the session is busy, or could not be started.
        """
        name = arguments["session"]
        session = self._get(name)
        if not session.busy.acquire(blocking=False):
            raise ToolError(f"Session {name} is running something: wait for it, or call session_interrupt.")
        try:
            return self._run(session, call, arguments)
        finally:
            session.busy.release()

    def interrupt(self, _: Call, arguments: dict[str, Any]) -> ToolResult:
        """See the tool's description."""
        name = arguments["session"]
        session = self._sessions.get(name)
        program = session.program if session and session.running else None
        if program:
            program.tell(f"signal {_INTERRUPT}")
        said = f"Session {name} was interrupted." if program else f"Session {name} is not running anything."
        return ToolResult([text(said)], {"session": name, "interrupted": program is not None})

    def reset(self, _: Call, arguments: dict[str, Any]) -> ToolResult:
        """See the tool's description."""
        name = arguments["session"]
        with self._lock:
            session = self._sessions.pop(name, None)
        program = session.program if session else None
        if session and program:
            program.end()  # a call that uses it ends by this
            with session.busy:
                session.drop()
        said = f"Session {name} was ended." if program else f"There was no session {name}."
        return ToolResult([text(said)], {"session": name, "ended": program is not None})

    def _get(self, name: str) -> _Session:
        with self._lock:
            if name not in self._sessions and len(self._sessions) >= MAX_SESSIONS:
                known = ", ".join(self._sessions)
                raise ToolError(f"There are {MAX_SESSIONS} sessions already ({known}): reset one, or use one of them.")
            return self._sessions.setdefault(name, _Session())

    def _run(self, session: _Session, call: Call, arguments: dict[str, Any]) -> ToolResult:
        had_ended = session.program is not None and not session.program.is_alive()
        if had_ended:
            session.drop()
        is_new = session.program is None
        program = session.program = session.program or self._start()
        limits = Limits(arguments["timeout_seconds"], int(arguments["max_output_bytes"]))
        exchange = Exchange(program, limits, call, {"code": arguments["code"]})
        session.running = True
        try:
            outcome = exchange.run()
        finally:
            session.running = False
        if exchange.reply is None:
            session.drop()
        state = "lost" if exchange.reply is None else "restarted" if had_ended else "new" if is_new else "kept"
        return to_result(exchange.reply, outcome, state, arguments)

    def _start(self) -> Program:
        request: dict[str, object] = {"function": "muxi_servers.code.session:main", "args": []}
        folder = self._workspace.open()
        try:
            program = self._launcher.start(request, folder=folder, temporary="/tmp", channel=True)  # noqa: S108 - the sandbox's own  # nosec B108
        except LaunchError as error:
            raise ToolError(str(error)) from None
        finally:
            os.close(folder)
        program.close_stdin()
        return program
