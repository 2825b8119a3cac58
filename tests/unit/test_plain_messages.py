"""What is known of plain requests and results without asking the SDK is what the SDK says."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp_types.methods import serialize_server_result
from pydantic import ValidationError
from starlette.datastructures import Headers

from muxi_runtime.gateway.plain_requests import likeness, read_plain
from muxi_runtime.gateway.plain_results import is_of_texts

METHOD, VERSION, LEGACY = "tools/call", "2026-07-28", "2025-11-25"
PARAMETERS = frozenset({"name", "arguments", "_meta"})
KEYS = "io.modelcontextprotocol"
META = {f"{KEYS}/protocolVersion": VERSION, f"{KEYS}/clientCapabilities": {}}
HEADERS = Headers({"mcp-protocol-version": VERSION, "mcp-method": METHOD, "mcp-name": "a__b"})
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
ODDLY = st.sampled_from([None, True, 0, 1.0, "", [], {}, "2.0", METHOD, "a__b", 2**70])
META_VALUES = st.sampled_from([META, {**META, "x": 1}, {**META, "x": True}, {**META, "progressToken": 1}, {}, None, 1])


@st.composite
def messages(draw: st.DrawFn) -> dict[str, Any]:
    params: dict[str, Any] = {"name": "a__b", "arguments": draw(JSON), "_meta": draw(META_VALUES)}
    message: dict[str, Any] = {"jsonrpc": "2.0", "id": draw(st.integers() | st.text()), "method": METHOD}
    for holder in (params, message):
        if draw(st.booleans()):
            holder[draw(st.sampled_from(["jsonrpc", "id", "method", "name", "arguments", "_meta", "z"]))] = draw(ODDLY)
        if draw(st.integers(0, 5)) == 0:
            holder.pop(draw(st.sampled_from(sorted(holder))))
    return message | {"params": params}


@given(st.lists(messages(), min_size=2, max_size=2))
def test_messages_that_are_alike_are_all_plain_or_none_is(pair: list[dict[str, Any]]) -> None:
    pair.append({**pair[0], "id": "another", "params": {**pair[0]["params"], "arguments": {"more": [1, {}]}}})
    for other in pair[1:]:
        alike = likeness(json.loads(json.dumps(pair[0])), PARAMETERS)
        if alike is None or alike != likeness(json.loads(json.dumps(other)), PARAMETERS):
            continue
        first, second = (read_plain(json.dumps(one).encode(), HEADERS, METHOD, PARAMETERS) for one in (pair[0], other))
        assert (first is None) == (second is None)
        if first is not None and second is not None:
            assert (second.id, second.params) == (other["id"], other["params"])
            assert (first.version, first.client_info) == (second.version, second.client_info)


def test_one_that_differs_in_a_type_alone_is_another() -> None:
    message = {"jsonrpc": "2.0", "id": 1, "method": METHOD, "params": {"name": "a__b", "_meta": {**META, "x": 1}}}
    marks = []
    for value in (1, True, 1.0, "1"):
        message["params"]["_meta"]["x"] = value  # type: ignore[index]
        marks.append(likeness(message, PARAMETERS))
    assert None not in marks
    assert len(set(marks)) == 4


@pytest.mark.parametrize("number", [True, 1.0, None, 2**53, -(2**53), [1]])
def test_a_message_with_an_odd_id_is_like_no_other(number: Any) -> None:
    assert likeness({"jsonrpc": "2.0", "id": number, "method": METHOD, "params": {"name": "a__b"}}, PARAMETERS) is None


BLOCKS = st.fixed_dictionaries({"type": st.just("text"), "text": st.text()}) | JSON
RESULTS = st.fixed_dictionaries(
    {"content": st.lists(BLOCKS, max_size=3) | JSON},
    optional={
        "isError": st.booleans() | JSON,
        "resultType": st.just("complete") | JSON,
        "_meta": JSON,
        "structuredContent": JSON,
        "more": JSON,
    },
)


@given(RESULTS, st.sampled_from([VERSION, LEGACY]))
def test_a_result_of_texts_is_one_for_the_sdk_and_nothing_is_left_out_of_it(
    result: dict[str, Any], version: str
) -> None:
    if not is_of_texts(result):
        return
    asked = {"resultType": "complete", **result}
    own = {name: value for name, value in asked.items() if name != "_meta"}
    try:
        made = serialize_server_result(METHOD, version, asked)
    except ValidationError:
        pytest.fail("the SDK takes it for no result")
    made.pop("_meta", None)
    assert made == (own if version == VERSION else {k: v for k, v in own.items() if k != "resultType"})


def test_the_usual_results_are_of_texts() -> None:
    assert is_of_texts({"content": [{"type": "text", "text": "x"}], "isError": False})
    assert is_of_texts({"content": [], "resultType": "complete", "_meta": {"a": 1}})
    assert not is_of_texts({"content": [{"type": "text", "text": "x", "annotations": None}]})
    assert not is_of_texts({"content": [{"type": "image", "data": "", "mimeType": "x"}]})
