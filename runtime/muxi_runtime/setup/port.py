"""The step that sees whether the runtime can listen where it is told to."""

from __future__ import annotations

import errno
import socket

from muxi_runtime.errors import SetupError

__all__ = ["check_port_is_free"]

STEP = "port"


def check_port_is_free(host: str, port: int) -> None:
    """Bind the address for an instant.

    Raises:
        SetupError: someone listens there, or this machine or user cannot.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            # As the server does it: connections of a former run that are still closing do not count.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise SetupError(
                f"Port {port} on {host} is taken by another program.",
                step=STEP,
                remedy="See whether it is a runtime of yours: `muxi-runtime status`. Else set gateway.port in muxi.yaml"
                f" to another one, or end that program (`ss -ltnp 'sport = :{port}'` names it).",
            ) from error
        raise SetupError(
            f"The runtime cannot listen on {host}:{port}: {error.strerror}.",
            step=STEP,
            remedy="Set gateway.host and gateway.port in muxi.yaml to an address of this machine, a port above 1023.",
        ) from error
