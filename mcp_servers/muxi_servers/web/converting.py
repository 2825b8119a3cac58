"""Documents to text in a process of its own: the server's side."""

from __future__ import annotations

import os

from muxi_servers.kit.codec import decode, encode
from muxi_servers.kit.errors import FrameError, LaunchError, ToolError
from muxi_servers.kit.watch import Limits, watch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from muxi_servers.kit.call import Call
    from muxi_servers.kit.launch import Launcher

__all__ = ["convert"]

_SECONDS = 30.0
_OUTPUT_BYTES = 32 * 2**20


def convert(launcher: Launcher, call: Call, data: bytes, wanted: dict[str, Any]) -> dict[str, Any]:
    """What `reading.main` makes of the bytes: `text`, `title`, `pages`, `is_whole`, or what it found for `search`.

    Raises:
        ToolError: it is broken, encrypted, or takes too long or too much memory to read.
    """
    folder = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        program = launcher.start(
            {"function": "muxi_servers.web.reading:main", "args": [encode(wanted).decode()]},
            folder=folder,
            temporary="/tmp",  # noqa: S108 - the sandbox's own  # nosec B108
        )
    except LaunchError as error:
        raise ToolError(str(error)) from None
    finally:
        os.close(folder)
    with program:
        outcome = watch(program, Limits(_SECONDS, _OUTPUT_BYTES), call, data)
    if outcome.reason == "timeout":
        raise ToolError(f"The document takes longer than {_SECONDS:g} s to read: it was given up. Use format raw.")
    try:
        found: dict[str, Any] = decode(outcome.stdout.text().encode())
    except FrameError:
        raise ToolError("The document could not be read: its reader died of it. Use format raw.") from None
    if "error" in found:
        raise ToolError(found["error"])
    return found
