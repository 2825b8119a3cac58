from __future__ import annotations

from typing import Any

import pytest
from mcp_types import version

from muxi_servers.kit.errors import ProtocolError
from muxi_servers.kit.protocol import (
    LEGACY_VERSIONS,
    MODERN_VERSIONS,
    Connection,
    Request,
    parse_message,
    progress_token,
)

VERSION = "io.modelcontextprotocol/protocolVersion"
CAPABILITIES = "io.modelcontextprotocol/clientCapabilities"
ENVELOPE: dict[str, Any] = {"_meta": {VERSION: MODERN_VERSIONS[-1], CAPABILITIES: {}}}


@pytest.fixture
def connection() -> Connection:
    return Connection({"name": "x", "version": "1"}, "how to", frozenset({"tools/list", "tools/call"}))


def refusal(connection: Connection, method: str, params: dict[str, Any]) -> ProtocolError:
    with pytest.raises(ProtocolError) as caught:
        connection.admit(Request(method, params, 1))
    return caught.value


def open_legacy(connection: Connection) -> None:
    request = Request("initialize", {"protocolVersion": "2025-11-25"}, 1)
    connection.admit(request)
    assert connection.answer_built_in(request)


def test_the_versions_are_those_of_the_sdk() -> None:
    assert LEGACY_VERSIONS == version.HANDSHAKE_PROTOCOL_VERSIONS
    assert MODERN_VERSIONS == version.MODERN_PROTOCOL_VERSIONS


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ([], -32600),
        ([{"jsonrpc": "2.0", "id": 1, "method": "ping"}], -32600),
        ("ping", -32600),
        (None, -32600),
        ({}, -32600),
        ({"jsonrpc": "1.0", "method": "ping"}, -32600),
        ({"jsonrpc": "2.0"}, -32600),
        ({"jsonrpc": "2.0", "method": 1}, -32600),
        ({"jsonrpc": "2.0", "id": None, "method": "ping"}, -32600),
        ({"jsonrpc": "2.0", "id": True, "method": "ping"}, -32600),
        ({"jsonrpc": "2.0", "id": 1.5, "method": "ping"}, -32600),
        ({"jsonrpc": "2.0", "id": {}, "method": "ping"}, -32600),
        ({"jsonrpc": "2.0", "id": 1, "method": "ping", "params": []}, -32602),
    ],
)
def test_what_is_no_request_is_refused(message: object, code: int) -> None:
    with pytest.raises(ProtocolError) as caught:
        parse_message(message)
    assert caught.value.code == code


@pytest.mark.parametrize("kind", [{"result": {}}, {"error": {"code": 1, "message": ""}}])
def test_responses_are_ignored(kind: dict[str, Any]) -> None:
    assert parse_message({"jsonrpc": "2.0", "id": 1, **kind}) is None


@pytest.mark.parametrize(("token", "seen"), [("a", "a"), (7, 7), (0, 0), (True, None), (None, None), ([], None)])
def test_a_progress_token_is_a_string_or_an_integer(token: object, seen: object) -> None:
    assert progress_token({"_meta": {"progressToken": token}}) == seen


@pytest.mark.parametrize("wanted", LEGACY_VERSIONS)
def test_a_legacy_version_that_is_known_is_taken(connection: Connection, wanted: str) -> None:
    answer = connection.answer_built_in(Request("initialize", {"protocolVersion": wanted}, 1))
    assert answer
    assert answer["protocolVersion"] == wanted


def test_an_unknown_legacy_version_is_answered_with_the_latest(connection: Connection) -> None:
    answer = connection.answer_built_in(Request("initialize", {"protocolVersion": "1999-01-01"}, 1))
    assert answer
    assert answer["protocolVersion"] == LEGACY_VERSIONS[-1]


def test_before_the_handshake_only_ping_is_served(connection: Connection) -> None:
    connection.admit(Request("ping", {}, 1))
    assert refusal(connection, "tools/list", {}).code == -32602


def test_an_unknown_method_is_told_even_before_the_handshake(connection: Connection) -> None:
    assert refusal(connection, "resources/list", {}).code == -32601


def test_a_legacy_connection_takes_no_envelope(connection: Connection) -> None:
    open_legacy(connection)
    assert refusal(connection, "tools/list", ENVELOPE).code == -32600


def test_a_legacy_connection_does_not_know_discover(connection: Connection) -> None:
    open_legacy(connection)
    assert refusal(connection, "server/discover", {}).code == -32601


def test_legacy_results_are_as_they_are(connection: Connection) -> None:
    open_legacy(connection)
    assert connection.finish("tools/list", {"tools": []}) == {"tools": []}


def test_a_modern_connection_has_no_handshake_and_says_what_it_serves(connection: Connection) -> None:
    connection.admit(Request("tools/list", ENVELOPE, 1))
    error = refusal(connection, "initialize", {"protocolVersion": "2025-11-25"})
    assert error.code == -32022
    assert error.data == {"supported": ["2026-07-28"], "requested": "2025-11-25"}


def test_a_modern_connection_has_no_ping(connection: Connection) -> None:
    assert refusal(connection, "ping", ENVELOPE).code == -32601


def test_an_unknown_modern_version_is_refused_with_the_known_ones(connection: Connection) -> None:
    error = refusal(connection, "tools/list", {"_meta": {VERSION: "2099-01-01", CAPABILITIES: {}}})
    assert error.code == -32022
    assert error.data == {"supported": ["2026-07-28"], "requested": "2099-01-01"}


@pytest.mark.parametrize("meta", [{VERSION: "2026-07-28"}, {VERSION: 1, CAPABILITIES: {}}])
def test_a_broken_envelope_is_refused(connection: Connection, meta: dict[str, Any]) -> None:
    assert refusal(connection, "tools/list", {"_meta": meta}).code == -32602


def test_once_modern_every_request_needs_the_envelope(connection: Connection) -> None:
    connection.admit(Request("tools/list", ENVELOPE, 1))
    assert refusal(connection, "tools/list", {}).code == -32602


def test_modern_results_have_what_the_era_wants(connection: Connection) -> None:
    connection.admit(Request("tools/list", ENVELOPE, 1))
    listed = connection.finish("tools/list", {"tools": []})
    assert listed["resultType"] == "complete"
    assert listed["ttlMs"] > 0
    assert listed["cacheScope"] == "public"
    assert listed["_meta"] == {"io.modelcontextprotocol/serverInfo": {"name": "x", "version": "1"}}
    called = connection.finish("tools/call", {"content": []})
    assert called["resultType"] == "complete"
    assert "ttlMs" not in called
