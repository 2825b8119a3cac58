from __future__ import annotations

from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muxi_servers.kit.call import Call
from muxi_servers.kit.content import ToolResult
from muxi_servers.kit.errors import ToolError
from muxi_servers.kit.schema import find_error, find_unknown_word, with_defaults
from muxi_servers.kit.tools import Registry, Tool, arguments_schema, object_schema

SCHEMA = arguments_schema(
    name={"type": "string", "minLength": 1, "maxLength": 3},
    size={"type": "integer", "minimum": 0, "maximum": 9, "default": 5},
    ratio={"type": ["number", "null"], "default": None},
    kind={"type": "string", "enum": ["a", "b"], "default": "a"},
    tags={"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 2, "default": ["x"]},
    flag={"type": "boolean", "default": False},
    inner={**object_schema({"x": {"type": "integer"}}), "default": {"x": 1}},
)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"name": None}, "name must be a string, not None"),
        ({"name": ""}, "name must have at least 1 characters, not 0"),
        ({"name": "long"}, "name must have at most 3 characters, not 4"),
        ({"size": "1"}, "size must be an integer, not '1'"),
        ({"size": True}, "size must be an integer, not True"),
        ({"size": 1.5}, "size must be an integer, not 1.5"),
        ({"size": -1}, "size must be at least 0, not -1"),
        ({"size": 10}, "size must be at most 9, not 10"),
        ({"ratio": "x"}, "ratio must be a number or a null, not 'x'"),
        ({"kind": "c"}, "kind must be one of a, b, not 'c'"),
        ({"tags": []}, "tags must have at least 1 items, not 0"),
        ({"tags": ["a", "b", "c"]}, "tags must have at most 2 items, not 3"),
        ({"tags": ["a", 2]}, "tags[1] must be a string, not 2"),
        ({"flag": 0}, "flag must be a boolean, not 0"),
        ({"inner": {}}, "inner.x is missing"),
        ({"inner": {"x": 1, "y": 2}}, "inner.y is not known; the known fields are: x"),
        ({"other": 1}, "other is not known; the known fields are: name, size, ratio, kind, tags, flag, inner"),
    ],
)
def test_a_wrong_argument_is_named_with_what_is_wrong(change: dict[str, Any], complaint: str) -> None:
    assert find_error({"name": "n", **change}, SCHEMA) == complaint


def test_a_missing_argument_is_named() -> None:
    assert find_error({}, SCHEMA) == "name is missing"


def test_a_whole_number_written_with_a_point_is_an_integer() -> None:
    assert find_error({"name": "n", "size": 1.0}, SCHEMA) is None


def test_defaults_fill_what_is_left_out() -> None:
    filled = with_defaults({"name": "n", "size": 1}, SCHEMA)
    assert filled["size"] == 1
    assert filled["tags"] == ["x"]
    assert filled["flag"] is False


ANY = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 12) | st.sampled_from([1.5, 2.0, "", "a", "b", "long"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["x", "y"]), inner, max_size=2),
    max_leaves=4,
)
VALIDATOR = jsonschema_rs.validator_for(SCHEMA)


@given(st.fixed_dictionaries({}, optional=dict.fromkeys([*SCHEMA["properties"], "other"], ANY)))
def test_it_agrees_with_a_full_validator(arguments: dict[str, Any]) -> None:
    assert (find_error(arguments, SCHEMA) is None) == VALIDATOR.is_valid(arguments)


@pytest.mark.parametrize("word", ["pattern", "oneOf", "$ref", "format", "exclusiveMinimum"])
def test_a_word_that_would_not_be_checked_cannot_be_declared(word: str) -> None:
    schema = object_schema({"a": {"type": "array", "items": {"type": "string", word: 1}}})
    assert find_unknown_word(schema) == f"schema.a.items: {word}"
    with pytest.raises(ValueError, match="does not check"):
        make_tool("t", schema)


def make_tool(name: str, schema: dict[str, Any]) -> Tool:
    def echo(_: Call, arguments: dict[str, Any]) -> ToolResult:
        return ToolResult([], arguments)

    return Tool(name, echo, title="T", description="d", arguments=schema, output=object_schema({}))


def test_a_tool_refuses_arguments_with_the_reason_and_its_name() -> None:
    with pytest.raises(ToolError, match=r"The arguments of t do not fit: name is missing\."):
        make_tool("t", SCHEMA).run(Call(), {})


def test_a_tool_gets_its_defaults() -> None:
    result = make_tool("t", SCHEMA).run(Call(), {"name": "n"})
    assert result.structured
    assert result.structured["kind"] == "a"


def test_two_tools_cannot_have_one_name() -> None:
    with pytest.raises(ValueError, match="same name"):
        Registry([make_tool("t", SCHEMA), make_tool("t", SCHEMA)])
