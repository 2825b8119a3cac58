"""How a program's end is told: structured for programs, as text for the model. Shared by `code` and `shell`."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # the C half of `signal`, a megabyte lighter; typeshed has no stub
import os

from muxi_servers.kit.tools import object_schema

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from muxi_servers.kit.capture import Capture
    from muxi_servers.kit.watch import Outcome

__all__ = ["FILES_SCHEMA", "OUTCOME_PROPERTIES", "describe", "explain_end", "files_text", "signal_name", "to_json"]

_COUNT = {"type": "integer", "minimum": 0}
_TEXT = {"type": "string"}
OUTCOME_PROPERTIES: dict[str, dict[str, Any]] = {
    "exit_code": {"type": ["integer", "null"], "description": "null if a signal ended the program"},
    "signal": {"type": ["string", "null"], "description": "name of the signal that ended it, such as SIGKILL"},
    "ended_by": {
        "type": "string",
        "enum": ["exit", "signal", "timeout", "cancelled", "output_limit", "memory", "lost"],
        "description": "what ended it; memory: the kernel killed it because the sandbox's memory was used up",
    },
    "duration_seconds": {"type": "number", "minimum": 0},
    "stdout": _TEXT,
    "stderr": _TEXT,
    "stdout_bytes": {**_COUNT, "description": "all that the program wrote"},
    "stderr_bytes": _COUNT,
    "stdout_omitted_bytes": {**_COUNT, "description": "left out in the middle of stdout"},
    "stderr_omitted_bytes": _COUNT,
    "processes_killed": {**_COUNT, "description": "processes that still ran when the program ended"},
    "peak_memory_mib": {"type": "number", "minimum": 0, "description": "of its largest process"},
}
FILES_SCHEMA = object_schema(
    {
        **{kind: {"type": "array", "items": _TEXT} for kind in ("created", "modified", "deleted")},
        "complete": {"type": "boolean", "description": "false if there are more than these"},
    }
)
_ENDS = {"flood": "output_limit"}


def signal_name(number: int) -> str:
    """`SIGKILL` for 9."""
    names = (name for name in dir(_signal) if name.startswith("SIG") and not name.startswith("SIG_"))
    return next((name for name in names if getattr(_signal, name) == number), f"signal {number}")


def explain_end(outcome: Outcome) -> str:
    """The value of `ended_by`."""
    if outcome.reason:
        return _ENDS.get(outcome.reason, outcome.reason)
    if outcome.kernel_kills:
        return "memory"
    return "signal" if outcome.status is not None and os.WIFSIGNALED(outcome.status) else "exit"


def to_json(outcome: Outcome) -> dict[str, Any]:
    """Fits `OUTCOME_PROPERTIES`."""
    status = outcome.status
    signalled = status is not None and os.WIFSIGNALED(status)
    return {
        "exit_code": os.WEXITSTATUS(status) if status is not None and not signalled else None,
        "signal": signal_name(os.WTERMSIG(status)) if status is not None and signalled else None,
        "ended_by": explain_end(outcome),
        "duration_seconds": round(outcome.seconds, 3),
        **_stream_json("stdout", outcome.stdout),
        **_stream_json("stderr", outcome.stderr),
        "processes_killed": outcome.left_over,
        "peak_memory_mib": round(outcome.peak_kib / 1024, 1),
    }


def _stream_json(name: str, capture: Capture) -> dict[str, Any]:
    return {name: capture.text(), f"{name}_bytes": capture.total, f"{name}_omitted_bytes": capture.omitted}


def describe(result: dict[str, Any], timeout_seconds: float, stopped: str = "killed") -> str:
    """The text for the model: what it printed, then how it ended. `stopped` says what was done to it at a limit."""
    parts = []
    if result["stdout"]:
        parts.append(result["stdout"].rstrip("\n"))
    if result["stderr"]:
        parts.append("[standard error]\n" + result["stderr"].rstrip("\n"))
    parts.append(f"[{_headline(result, timeout_seconds, stopped)}]")
    return "\n".join(parts)


def _headline(result: dict[str, Any], timeout_seconds: float, stopped: str) -> str:
    took = f"after {result['duration_seconds']} s"
    ended = result.get("signal") or f"exit code {result.get('exit_code')}"
    sentences = {
        "exit": f"{ended} {took}",
        "signal": f"ended by {ended} {took}; if it was not its own doing, it may have used up the sandbox's memory",
        "memory": f"{ended} {took}: the sandbox's memory was used up; work in smaller parts",
        "timeout": f"{stopped} {took}: it may run {timeout_seconds:g} s; raise timeout_seconds or do less",
        "cancelled": f"{stopped} {took}: the call was cancelled",
        "output_limit": f"{stopped} {took}: it wrote far more than can be shown; write to a file instead",
        "lost": f"killed {took}: it ended the process that kept it",
    }
    killed = result["processes_killed"]
    rest = (
        f"; {killed} of its processes still ran and were killed"
        if killed and result["ended_by"] in {"exit", "signal"}
        else ""
    )
    return sentences[result["ended_by"]] + rest


def files_text(files: dict[str, Any]) -> str:
    """A line for each kind of change; empty if there is none."""
    lines = [f"[{kind}: {', '.join(files[kind])}]" for kind in ("created", "modified", "deleted") if files[kind]]
    if not files["complete"]:
        lines.append("[and more files than are listed]")
    return "\n".join(lines)
