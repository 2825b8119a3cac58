"""Our errors as JSON-RPC errors. Codes are in the range that JSON-RPC leaves to servers, clear of MCP's own.

| code | kind | meaning |
| --- | --- | --- |
| -32602 | unknown_tool, unknown_task, invalid_arguments, refused | the request is at fault |
| -32050 | denied | policy said no |
| -32050 | forbidden | the role or the scopes of the caller do not allow it; `scope` is the one that is missing |
| -32051 | sandbox | the sandbox or the engine failed |
| -32052 | server | the server behind the tool failed |
| -32603 | internal | the runtime failed |

`data` holds `kind`, `remedy`, and what the kind adds (`rule` and `approval`; `exit_code` and `out_of_memory`).
"""

from __future__ import annotations

from typing import Any

from mcp import MCPError
from mcp_types import INTERNAL_ERROR, INVALID_PARAMS

from muxi_runtime.errors import (
    DeniedError,
    ForbiddenError,
    ForwardedError,
    InvalidArgumentsError,
    LoginNeededError,
    MuxiError,
    RefusedError,
    RemoteError,
    ServerError,
    ToolBlockedError,
    UnknownTaskError,
    UnknownToolError,
)
from muxi_runtime.gateway.guard import cleaned
from muxi_sandbox.errors import (
    EngineRestartedError,
    LeaseExpiredError,
    OutputFloodError,
    SandboxDiedError,
    SandboxError,
)

__all__ = ["DENIED", "SANDBOX_FAILED", "SERVER_FAILED", "to_wire"]

DENIED = -32050
SANDBOX_FAILED = -32051
SERVER_FAILED = -32052

GONE = (EngineRestartedError, LeaseExpiredError, OutputFloodError, SandboxDiedError)
"""What ends a sandbox under its task."""

AFTERMATH = " The next call gets a new sandbox. If no other sandbox of the task was left, its workspace starts empty."

_KINDS: tuple[tuple[type[MuxiError], int, str], ...] = (
    (DeniedError, DENIED, "denied"),
    (UnknownToolError, INVALID_PARAMS, "unknown_tool"),
    (ToolBlockedError, DENIED, "blocked"),
    (UnknownTaskError, INVALID_PARAMS, "unknown_task"),
    (InvalidArgumentsError, INVALID_PARAMS, "invalid_arguments"),
    (ForbiddenError, DENIED, "forbidden"),
    (RefusedError, INVALID_PARAMS, "refused"),
    (ServerError, SERVER_FAILED, "server"),
)


def to_wire(error: MuxiError | SandboxError) -> MCPError:
    """The error as a client gets it: the message says what to do next, `data` says it for programs.

    Nothing in it is hidden from who reads it: it may quote what a server sent.
    """
    wire = _in_words(error)
    try:
        data, _ = cleaned(wire.error.data)
    except ServerError as unclear:
        data = str(unclear)
    return MCPError(wire.error.code, cleaned(wire.error.message)[0], data)


def _in_words(error: MuxiError | SandboxError) -> MCPError:
    if isinstance(error, ForwardedError):
        return MCPError(error.code, str(error), error.data)
    if isinstance(error, LoginNeededError):
        return MCPError(DENIED, str(error), {"kind": "login", "server": error.server, "remedy": error.command})
    if isinstance(error, RemoteError):
        return MCPError(SERVER_FAILED, str(error), {"kind": "server", "remedy": "See whether it runs."})
    if isinstance(error, SandboxError):
        after = AFTERMATH if isinstance(error, GONE) else ""
        return MCPError(SANDBOX_FAILED, f"{error}{after}", _sandbox_data(error))
    for kind, code, name in _KINDS:
        if isinstance(error, kind):
            return MCPError(code, str(error), {"kind": name, "remedy": error.remedy, **_more(error)})
    return MCPError(INTERNAL_ERROR, str(error), {"kind": "internal", "remedy": error.remedy})


def _more(error: MuxiError) -> dict[str, str]:
    if isinstance(error, ForbiddenError) and error.scope:
        return {"scope": error.scope}
    if not isinstance(error, DeniedError):
        return {}
    return {"rule": error.rule, **({"approval": error.approval} if error.approval else {})}


def _sandbox_data(error: SandboxError) -> dict[str, Any]:
    data: dict[str, Any] = {"kind": "sandbox", "cause": type(error).__name__.removesuffix("Error")}
    if isinstance(error, SandboxDiedError):
        data |= {"exit_code": error.exit_code, "out_of_memory": error.out_of_memory}
    return data
