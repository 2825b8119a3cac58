"""The process of a Python session: runs what it is sent, in one namespace, and says what came of it.

It is forked from the zygote. Requests come on descriptor 3 and replies go on 4, a line of JSON each; what the user's
code prints goes elsewhere. Only this process may hold what the user's code imports: pandas, matplotlib and the like.
"""

from __future__ import annotations

import os
import signal
import sys

from muxi_servers.code.cell import Cells
from muxi_servers.code.display import Shown, show_figures
from muxi_servers.kit.codec import decode, encode
from muxi_servers.kit.frames import FrameReader, write_all
from muxi_servers.kit.linux import reap

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["main"]

_REQUESTS = 3
_REPLIES = 4


def main() -> int:
    """Serve until the server closes its end."""
    process = os.getpid()
    for descriptor in (_REQUESTS, _REPLIES):
        os.set_inheritable(descriptor, False)  # noqa: FBT003 - positional only
    main_module = type(sys)("__main__")
    sys.modules["__main__"] = main_module
    sys.argv = [""]
    sys.path.insert(0, os.getcwd())
    cells = Cells(main_module.__dict__)
    reader = FrameReader(_REQUESTS)
    while True:
        signal.signal(signal.SIGINT, _ignore)
        line = reader.read()
        if line is None:
            return 0
        request = decode(line)
        reply = _reap() if "reap" in request else _run(cells, request["code"])
        if os.getpid() != process:
            os._exit(0)  # a fork that the user's code made and that ran on to here does not speak for the session
        write_all(_REPLIES, encode(reply) + b"\n")


def _ignore(*_: object) -> None:
    """SIGINT between two requests: nothing to interrupt. (SIG_IGN would be inherited by programs.)."""


def _reap() -> dict[str, Any]:
    reap()
    return {"reaped": True}


def _run(cells: Cells, source: str) -> dict[str, Any]:
    shown = Shown()
    cells.namespace["display"] = shown.add
    error = None
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        value = cells.run(source)
        signal.signal(signal.SIGINT, _ignore)
        if value is not None:
            cells.namespace["_"] = value
            shown.add_result(value)
        show_figures(shown)
    except KeyboardInterrupt as interrupt:
        error = cells.describe(interrupt)
    except Exception as failure:  # noqa: BLE001 - whatever the user's code raises is the answer
        error = cells.describe(failure)
    finally:
        signal.signal(signal.SIGINT, _ignore)
    _flush()
    return {"result": shown.result, "tables": shown.tables, "images": shown.images, "error": error}


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, OSError, ValueError):
            continue  # the user's code replaced or closed it
