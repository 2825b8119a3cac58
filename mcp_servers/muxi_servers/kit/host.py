"""How a built-in server starts: the order matters, so it is in one place.

python3 -I -m muxi_servers.NAME [--workspace FOLDER]
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # the C half of `signal`, a megabyte lighter; typeshed has no stub
import sys

from muxi_servers.kit.frames import claim_standard_streams
from muxi_servers.kit.launch import Launcher

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from muxi_servers.kit.server import Server
    from muxi_servers.kit.workspace import Workspace

    Build = Callable[[Launcher, Workspace], Server]

__all__ = ["host"]


def host(load: Callable[[], Build]) -> None:
    """Start a server and serve until standard input ends; then end all that it started.

    `load` imports the server and returns what builds it. It is called after the zygote has been forked, which so stays
    free of the server's modules, threads and state.
    """
    # As process 1 it is reached by no signal of its programs but those that it has a handler for; Python set one here.
    _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
    source, sink = claim_standard_streams()
    launcher = Launcher.begin()
    try:
        load()(launcher, _workspace(sys.argv[1:])).serve(source, sink)
    finally:
        launcher.end()


def _workspace(arguments: list[str]) -> Workspace:
    from muxi_servers.kit.workspace import Workspace  # noqa: PLC0415 - after the fork, see above

    match arguments:
        case []:
            return Workspace()
        case ["--workspace", folder]:
            return Workspace(folder)
        case _:
            raise SystemExit(f"unknown arguments {arguments}; the only one is --workspace FOLDER")
