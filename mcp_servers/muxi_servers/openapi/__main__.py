"""`python3 -I -m muxi_servers.openapi --document FILE`.

It runs no programs and has no files, so that it needs neither the kit's zygote nor a workspace.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # the C half of `signal`, a megabyte lighter; typeshed has no stub
import sys

from muxi_servers.kit.frames import claim_standard_streams
from muxi_servers.openapi.document import load
from muxi_servers.openapi.server import build


def main() -> None:
    """Serve until standard input ends."""
    # As process 1 it is reached by no signal but those that it has a handler for; Python set one here.
    _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
    match sys.argv[1:]:
        case ["--document", path]:
            document = load(path)
        case arguments:
            raise SystemExit(f"unknown arguments {arguments}; there must be --document FILE")
    source, sink = claim_standard_streams()
    build(document).serve(source, sink)


if __name__ == "__main__":
    main()
