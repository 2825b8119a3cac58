"""Work that may hang, crash or eat memory, done in a process of its own: a fork of the zygote that is killed in time.

Above it: tools that parse what strangers wrote, or compute what nobody can bound. `ask_apart` is the server's side,
`answer_apart` the process's: one JSON object goes in by standard input, and one comes out by standard output.
"""

from __future__ import annotations

import os

from muxi_servers.kit.codec import decode, encode
from muxi_servers.kit.errors import FrameError, LaunchError, ToolError
from muxi_servers.kit.frames import write_all
from muxi_servers.kit.report import explain_end
from muxi_servers.kit.watch import Limits, watch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from muxi_servers.kit.call import Call
    from muxi_servers.kit.launch import Launcher
    from muxi_servers.kit.watch import Outcome

    Work = Callable[[dict[str, Any]], dict[str, Any]]

__all__ = ["answer_apart", "ask_apart"]

_MAX_ANSWER_BYTES = 12 * 2**20
_CHUNK = 65_536
_SHOWN = 500
_ENDS = {
    "timeout": "took longer than {seconds:g} s and was ended: ask for less, or raise timeout_seconds",
    "cancelled": "was cancelled",
    "memory": "used up the memory that it may have and was ended: ask for less at a time",
    "output_limit": "made an answer that is too large: ask for less",
}


def ask_apart(
    launcher: Launcher,
    call: Call,
    function: str,
    request: dict[str, Any],
    *,
    seconds: float,
    folder: int | None = None,
    what: str = "It",
    told_seconds: float | None = None,
) -> dict[str, Any]:
    """The answer of `function` ("module:function", which calls `answer_apart`) to the request.

    Args:
        launcher: what starts the process.
        call: ends the process when it is cancelled.
        function: what runs there.
        request: JSON.
        seconds: until it is killed.
        folder: a descriptor of its working folder; the root folder if there is none.
        what: begins the sentence that says why there is no answer, such as "The query".
        told_seconds: what that sentence says of the time, where `seconds` is what is left of a longer one.

    Raises:
        ToolError: the function refused, or was ended, or failed.
    """
    limits = Limits(seconds, _MAX_ANSWER_BYTES)
    where = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC) if folder is None else folder
    try:
        program = launcher.start({"function": function}, folder=where, temporary="/tmp")  # noqa: S108  # nosec B108
    except LaunchError as error:
        raise ToolError(str(error)) from None
    finally:
        if folder is None:
            os.close(where)
    with program:
        outcome = watch(program, limits, call, encode(request), shown=False)
    return _read(outcome, what, seconds if told_seconds is None else told_seconds)


def _read(outcome: Outcome, what: str, seconds: float) -> dict[str, Any]:
    try:
        reply = decode(outcome.stdout.text().encode()) if outcome.stdout.total else None
    except FrameError:
        reply = None
    if not isinstance(reply, dict):
        ended = explain_end(outcome)
        why = _ENDS["output_limit"] if outcome.stdout.omitted else _ENDS.get(ended, "failed in its process")
        last = outcome.stderr.text().strip()[-_SHOWN:].rpartition("\n")[2] if ended in {"exit", "signal"} else ""
        if last == "MemoryError":  # too little was left even to say so in an answer
            why, last = _ENDS["memory"], ""
        raise ToolError(f"{what} {why.format(seconds=seconds)}{f' ({last})' if last else ''}.")
    if "refused" in reply:
        raise ToolError(reply["refused"])
    answer: dict[str, Any] = reply["answer"]
    return answer


def answer_apart(work: Work) -> int:
    """Read the request, do the work, write the answer. What libraries print goes to standard error."""
    answers = os.dup(1)
    os.dup2(2, 1)
    request = decode(_read_all(0))
    try:
        reply: dict[str, Any] = {"answer": work(request)}
    except ToolError as refusal:
        reply = {"refused": str(refusal)}
    except (MemoryError, RecursionError):
        reply = {"refused": "That needs more memory than there is for one call: ask for less at a time."}
    write_all(answers, encode(reply))
    return 0


def _read_all(source: int) -> bytes:
    parts = []
    while part := os.read(source, _CHUNK):
        parts.append(part)
    return b"".join(parts)
