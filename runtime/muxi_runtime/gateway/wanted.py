"""What a person is asked about when a rule asks: all that their answer is bound to, and all that they should see."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from muxi_runtime.errors import InvalidArgumentsError
from muxi_runtime.gateway.json_limits import printable
from muxi_runtime.policy.approvals import Wanted
from muxi_runtime.policy.questions import place

if TYPE_CHECKING:
    from muxi_runtime.gateway.caller import CallRequest
    from muxi_runtime.gateway.subjects import Subject
    from muxi_runtime.gateway.task import Task
    from muxi_runtime.gateway.tools import Tool
    from muxi_runtime.identity.principal import Principal
    from muxi_runtime.policy.contract import Connection, Decision

__all__ = ["MAX_SHOWN", "fingerprint_of", "wanted_call", "wanted_connection"]

CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False)
MAX_SHOWN = 20_000
"""Characters of the arguments that are kept for a person to see."""


def fingerprint_of(tool: Tool | Subject, request: CallRequest) -> str:
    """What an approval for once is bound to: this pinned tool with these arguments.

    Raises:
        InvalidArgumentsError: JSON has no form for them.
    """
    try:
        canonical = CANONICAL.encode(dict(request.arguments))
    except ValueError as error:
        raise InvalidArgumentsError(
            "The arguments hold a number that JSON has no form for: NaN or infinity."
        ) from error
    return hashlib.sha256(f"{tool.pin}\n{canonical}".encode(errors="surrogatepass")).hexdigest()


def wanted_call(
    *,
    call: str,
    request: CallRequest,
    tool: Tool | Subject,
    principal: Principal,
    task: Task | None,
    fingerprint: str,
    decision: Decision,
) -> Wanted:
    """Of a call that `decision` asks about."""
    return Wanted(
        kind="call",
        principal=principal,
        task=task.id if task else "",
        place=_place(task) if task else "",
        title=printable(tool.full_name, 500),
        server=tool.server,
        tool=tool.name,
        pin=tool.pin,
        fingerprint=fingerprint,
        shown=printable(json.dumps(dict(request.arguments), ensure_ascii=False), MAX_SHOWN),
        rules=decision.rules or (decision.rule,),
        wording=decision.wording,
        reason=decision.reason,
        call=call,
    )


def wanted_connection(request: Connection, decision: Decision) -> Wanted:
    """Of a connection that `decision` asks about."""
    host = place(request.host, request.port)
    pin = f"connect {request.server} {host} {request.scheme}"
    return Wanted(
        kind="connect",
        principal=request.principal,
        task=request.task,
        place=request.task,
        title=f"a connection of {request.server} to {host}",
        server=request.server,
        tool=host,
        pin=pin,
        fingerprint=hashlib.sha256(pin.encode()).hexdigest(),
        shown=request.scheme,
        rules=decision.rules or (decision.rule,),
        wording=decision.wording,
        reason=decision.reason,
    )


def _place(task: Task) -> str:
    """What leads to this task, or to its like after it ended: the client's name, or its own id."""
    return task.id if task.key is None else f"client {task.client}"
