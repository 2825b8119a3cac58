"""The tools for processes in the background."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # the C half of `signal`, a megabyte lighter; typeshed has no stub
from itertools import count
from threading import Lock
from time import monotonic, sleep

from muxi_servers.kit.content import ToolResult, text
from muxi_servers.kit.errors import ToolError
from muxi_servers.kit.tools import object_schema
from muxi_servers.shell.command import start_shell
from muxi_servers.shell.process import Process
from muxi_servers.shell.pump import Pump

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from muxi_servers.kit.call import Call
    from muxi_servers.kit.launch import Launcher
    from muxi_servers.kit.workspace import Workspace

__all__ = ["LIST_OUTPUT", "READ_OUTPUT", "START_OUTPUT", "STATE_OUTPUT", "Background"]

MAX_RUNNING = 8
MAX_REMEMBERED = 32
_WRITE_SECONDS = 5.0
_COUNT = {"type": "integer", "minimum": 0}
_STATE: dict[str, dict[str, Any]] = {
    "id": {"type": "string"},
    "command": {"type": "string"},
    "running": {"type": "boolean"},
    "exit_code": {"type": ["integer", "null"], "description": "null while it runs, or if a signal ended it"},
    "signal": {"type": ["string", "null"]},
    "seconds": {"type": "number", "minimum": 0},
    "output_bytes": _COUNT,
}
START_OUTPUT = STATE_OUTPUT = object_schema(_STATE)
LIST_OUTPUT = object_schema({"processes": {"type": "array", "items": STATE_OUTPUT}})
READ_OUTPUT = object_schema(
    {
        **_STATE,
        "output": {"type": "string"},
        "position": {**_COUNT, "description": "where this output begins"},
        "next_position": {**_COUNT, "description": "where to read on"},
        "skipped_bytes": {**_COUNT, "description": "older output that is not kept any more"},
    }
)


class Background:
    """All processes of the task, by id."""

    def __init__(self, launcher: Launcher, workspace: Workspace) -> None:
        self._launcher = launcher
        self._workspace = workspace
        self._pump = Pump()
        self._processes: dict[str, Process] = {}
        self._lock = Lock()
        self._ids = count(1)

    def start(self, _: Call, arguments: dict[str, Any]) -> ToolResult:
        """See the tool's description.

        Raises:
            ToolError: too many run already, or it could not be started.
        """
        with self._lock:
            running = [process.id for process in self._processes.values() if process.running]
            if len(running) >= MAX_RUNNING:
                raise ToolError(f"{MAX_RUNNING} processes run already: end one with process_signal first.")
            self._forget_oldest()
            program = start_shell(self._launcher, self._workspace, arguments, "/tmp")  # noqa: S108 - the sandbox's own  # nosec B108
            process = Process(f"p{next(self._ids)}", arguments["command"], program)
            try:
                self._pump.add(process)
            except RuntimeError:
                program.close()
                raise ToolError("No thread could be started: end programs that still run.") from None
            self._processes[process.id] = process
        return _told(f"Started {process.id}. Read its output with process_read.", process)

    def list(self, _: Call, __: dict[str, Any]) -> ToolResult:
        """See the tool's description."""
        with self._lock:
            states = [process.state() for process in self._processes.values()]
        lines = [f"{state['id']}: {_how(state)}: {state['command']}" for state in states]
        return ToolResult([text("\n".join(lines) or "No process was started.")], {"processes": states})

    def read(self, call: Call, arguments: dict[str, Any]) -> ToolResult:
        """See the tool's description.

        Raises:
            ToolError: there is no such process.
        """
        process = self._get(arguments["id"])
        until = monotonic() + arguments["wait_seconds"]
        position, size = int(arguments["position"]), int(arguments["max_bytes"])
        result = process.read(position, size, min(arguments["wait_seconds"], 1.0))
        while not result["output"] and result["running"] and monotonic() < until and not call.cancelled:
            result = process.read(position, size, 1.0)
        notes = [f"[{result['skipped_bytes']} older bytes are not kept any more]"] if result["skipped_bytes"] else []
        end = f"[{_how(result)}; read on from position {result['next_position']}]"
        return ToolResult([text("\n".join([*notes, result["output"].rstrip("\n"), end]).lstrip("\n"))], result)

    def write(self, call: Call, arguments: dict[str, Any]) -> ToolResult:
        """See the tool's description.

        Raises:
            ToolError: there is no such process, or it does not read.
        """
        process = self._get(arguments["id"])
        data = memoryview(arguments["text"].encode())
        total = len(data)
        until = monotonic() + _WRITE_SECONDS
        try:
            while data and not call.cancelled:
                data = data[process.write(bytes(data)) :]
                if data and monotonic() > until:
                    raise ToolError(f"{process.id} does not read: it took {total - len(data)} of {total} bytes.")
                if data:
                    sleep(0.01)
        except OSError:
            raise ToolError(f"{process.id} does not read from its standard input any more.") from None
        if arguments["close"]:
            process.close_stdin()
        return _told(f"Wrote {total} bytes to {process.id}.", process)

    def signal(self, _: Call, arguments: dict[str, Any]) -> ToolResult:
        """See the tool's description.

        Raises:
            ToolError: there is no such process.
        """
        process = self._get(arguments["id"])
        name = arguments["signal"]
        if process.running and name == "SIGKILL":
            process.kill()
        elif process.running:
            process.signal(int(getattr(_signal, name)))
        return _told(f"{process.id} was sent {name}." if process.running else f"{process.id} has ended.", process)

    def _get(self, name: str) -> Process:
        process = self._processes.get(name)
        if process is None:
            known = ", ".join(self._processes) or "none"
            raise ToolError(f"There is no process {name}; there are: {known}.")
        return process

    def _forget_oldest(self) -> None:
        ended = [name for name, process in self._processes.items() if not process.running]
        for name in ended[: max(0, len(self._processes) - MAX_REMEMBERED + 1)]:
            del self._processes[name]


def _how(state: dict[str, Any]) -> str:
    if state["running"]:
        return f"running for {state['seconds']} s"
    ended = f"ended by {state['signal']}" if state["signal"] else f"ended with exit code {state['exit_code']}"
    return f"{ended} after {state['seconds']} s"


def _told(said: str, process: Process) -> ToolResult:
    return ToolResult([text(said)], process.state())
