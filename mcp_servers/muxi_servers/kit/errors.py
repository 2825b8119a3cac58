"""What can go wrong in a guest server.

    KitError
    ├── FrameError       bytes on standard input that are no message; answered with a JSON-RPC error
    ├── ProtocolError    a message that breaks JSON-RPC or MCP; answered with a JSON-RPC error
    ├── ToolError        the tool could not do what was asked; answered with a result that has `isError`
    └── LaunchError      a program could not be started

Anything else that a tool raises is a fault of the server: it is logged with its traceback and masked.
"""

from __future__ import annotations

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603
UNSUPPORTED_PROTOCOL_VERSION = -32022


class KitError(Exception):
    """Base of everything that the kit raises on purpose."""


class FrameError(KitError):
    """The bytes of one line are no JSON message that this server takes."""


class ProtocolError(KitError):
    """A request that cannot be served as it is.

    Attributes:
        code: the JSON-RPC error code.
        data: what a program may want to know, or `None`.
    """

    def __init__(self, code: int, message: str, data: object = None) -> None:
        super().__init__(message)
        self.code = code
        self.data = data


class ToolError(KitError):
    """The tool did not do it. The text says what happened, to which thing, and what to do next."""


class LaunchError(KitError):
    """The program could not be started; the text says why."""
