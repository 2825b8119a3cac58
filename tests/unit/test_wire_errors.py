from __future__ import annotations

import pytest

from muxi_runtime.errors import (
    DeniedError,
    ForwardedError,
    InvalidArgumentsError,
    JournalError,
    MuxiError,
    RefusedError,
    ServerError,
    UnknownTaskError,
    UnknownToolError,
)
from muxi_runtime.gateway.wire_errors import DENIED, SANDBOX_FAILED, SERVER_FAILED, to_wire
from muxi_sandbox.errors import SandboxDiedError, SandboxError


@pytest.mark.parametrize(
    ("error", "code", "kind"),
    [
        (UnknownToolError("x"), -32602, "unknown_tool"),
        (UnknownTaskError("x"), -32602, "unknown_task"),
        (InvalidArgumentsError("x"), -32602, "invalid_arguments"),
        (RefusedError("x"), -32602, "refused"),
        (DeniedError("x", rule="r"), DENIED, "denied"),
        (ServerError("x"), SERVER_FAILED, "server"),
        (JournalError("x"), -32603, "internal"),
        (MuxiError("x"), -32603, "internal"),
    ],
)
def test_each_error_has_a_code_and_a_kind(error: MuxiError, code: int, kind: str):
    wire = to_wire(error)
    assert (wire.code, wire.data["kind"]) == (code, kind)


def test_a_denial_names_its_rule_and_what_would_change_it():
    wire = to_wire(DeniedError("no", rule="night", remedy="Wait for the day."))
    assert wire.data["rule"] == "night"
    assert "Wait for the day." in str(wire)


def test_a_dead_sandbox_says_how_it_died():
    wire = to_wire(SandboxDiedError("gone", exit_code=137, out_of_memory=True))
    assert "new sandbox" in str(wire)
    assert "workspace" in str(wire)
    assert wire.data == {"kind": "sandbox", "cause": "SandboxDied", "exit_code": 137, "out_of_memory": True}
    assert to_wire(SandboxError("x")).code == SANDBOX_FAILED


def test_a_servers_own_error_passes_unchanged():
    wire = to_wire(ForwardedError("its words", code=-32001, data={"a": 1}))
    assert (wire.code, str(wire), wire.data) == (-32001, "its words", {"a": 1})
