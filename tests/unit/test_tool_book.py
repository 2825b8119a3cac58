from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muxi_runtime.errors import InvalidArgumentsError, UnknownToolError
from muxi_runtime.gateway.tools import Tool, ToolBook, split_name

ADD: dict[str, Any] = {
    "name": "add",
    "inputSchema": {
        "type": "object",
        "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
        "required": ["a", "b"],
        "additionalProperties": False,
    },
}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


def test_valid_arguments_pass():
    Tool.of("calc", ADD).check({"a": 1, "b": 2})


def test_every_wrong_argument_is_named():
    with pytest.raises(InvalidArgumentsError) as refused:
        Tool.of("calc", ADD).check({"a": "one", "c": 3})
    assert all(part in str(refused.value) for part in ("calc__add", "a:", "'c'", '"b"'))


@given(st.dictionaries(st.text(), json_values, max_size=4))
def test_any_arguments_are_either_valid_or_refused_with_a_reason(arguments: dict[str, Any]):
    try:
        Tool.of("calc", ADD).check(arguments)
    except InvalidArgumentsError as refused:
        assert str(refused)  # noqa: PT017  # both outcomes are fine, silence is not


@pytest.mark.parametrize(
    "schema", [{"type": 3}, {"$ref": "http://127.0.0.1:1/schema.json"}, {"$ref": "file:///etc/passwd"}]
)
def test_a_schema_that_is_none_or_lies_elsewhere_hides_its_tool_alone(schema: dict[str, Any]):
    book = ToolBook()
    book.set_tools("calc", [ADD, {"name": "bad", "inputSchema": schema}])
    assert list(book.servers["calc"].tools) == ["add"]
    assert "'bad'" in book.servers["calc"].error


@pytest.mark.parametrize("field", [{"type": "string", "x-mcp-header": "two words"}, {"x-mcp-header": "Region"}])
def test_a_tool_that_wants_a_header_that_cannot_be_is_hidden_alone(field: dict[str, Any]):
    book = ToolBook()
    book.set_tools("calc", [ADD, {"name": "bad", "inputSchema": {"type": "object", "properties": {"a": field}}}])
    assert list(book.servers["calc"].tools) == ["add"]
    assert "'bad'" in book.servers["calc"].error


def test_a_pattern_made_to_backtrack_for_ever_is_refused_or_matched_in_linear_time():
    schema = {"type": "object", "properties": {"s": {"type": "string", "pattern": "^(a+)+$"}}}
    tool = Tool.of("calc", {"name": "slow", "inputSchema": schema})
    with pytest.raises(InvalidArgumentsError):
        tool.check({"s": "a" * 5000 + "!"})


def test_an_unknown_tool_is_told_what_there_is_instead():
    book = ToolBook()
    book.set_tools("calc", [ADD])
    with pytest.raises(UnknownToolError, match="Its tools: add"):
        book.find("calc", "sub")
    with pytest.raises(UnknownToolError, match="Servers: calc"):
        book.find("other", "add")


def test_a_server_that_failed_says_why():
    book = ToolBook()
    book.set_error("calc", "its image is not built")
    with pytest.raises(UnknownToolError, match="its image is not built"):
        book.find("calc", "add")


def test_listeners_hear_of_changes_only():
    book, heard = ToolBook(), []
    book.on_change(lambda: heard.append(1))
    book.set_tools("calc", [ADD])
    first = len(heard)
    book.set_tools("calc", [ADD])
    assert len(heard) == first
    book.set_tools("calc", [{**ADD, "description": "changed"}])
    assert len(heard) == first + 1


@given(st.from_regex(r"[a-z][a-z0-9-]{0,31}", fullmatch=True), st.text(min_size=1))
def test_a_full_name_splits_into_what_it_was_made_of(server: str, tool: str):
    assert split_name(f"{server}__{tool}") == (server, tool)


@pytest.mark.parametrize("name", ["", "add", "calc_add", "calc__"])
def test_a_name_without_a_server_is_unknown(name: str):
    with pytest.raises(UnknownToolError):
        split_name(name)
