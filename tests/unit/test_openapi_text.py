"""Bytes of a document to plain values: JSON and YAML, bounded, and nothing but a refusal for whatever else."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from muxi_runtime.errors import ConfigError
from muxi_runtime.installing.openapi import yaml_events
from muxi_runtime.installing.openapi.text import MAX_BYTES, read_text

PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"])),
    lambda below: st.lists(below, max_size=4) | st.dictionaries(st.text(max_size=8), below, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text(), PLAIN, max_size=4))
def test_json_is_read_as_json_has_it(value: dict[str, Any]) -> None:
    assert read_text(json.dumps(value).encode()) == value


@given(st.dictionaries(st.from_regex(r"[a-z]{1,8}", fullmatch=True), PLAIN, min_size=1, max_size=4))
@settings(deadline=None)
def test_yaml_that_a_library_wrote_is_read_as_it_was(value: dict[str, Any]) -> None:
    written = yaml.safe_dump(value, allow_unicode=True, default_flow_style=False)
    if written.lstrip()[:1] != "{":
        assert read_text(written.encode()) == yaml.safe_load(written)


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
@settings(deadline=None, max_examples=300)
def test_whatever_the_bytes_are_there_is_an_object_or_a_refusal(data: bytes) -> None:
    try:
        assert isinstance(read_text(data), dict)
    except ConfigError as error:
        assert str(error)  # noqa: PT017 - either way is right


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no object"),
        ("[1]", "no object"),
        ("just words", "no object"),
        ('{"a": 1, "a": 2}', "same key twice"),
        ("a: 1\na: 2", "twice in one object"),
        ('{"a": NaN}', "no number of JSON"),
        ('{"a": 1e999}', "too large a number"),
        ('{"a": "\\ud800"}', "half a surrogate pair"),
        ('a: "\\ud800"', "half a surrogate pair"),
        ('{"a": ', "no JSON"),
        ("a: [", "no YAML"),
        ("a: !!python/object/apply:os.system [ls]", "tag of YAML"),
        ("a: !include other.yaml", "tag of YAML"),
        ("a: 1\n---\nb: 2", "several documents"),
        ("? [a]\n: 1", "no plain text"),
        ("a: &x [*x]", "an alias"),
        ("a: *nowhere", "an alias"),
        ("<<: 1", "merges"),
        ('{"a":' * 150 + "1" + "}" * 150, "nested deeper"),
        ('{"a":' * 100_000 + "1" + "}" * 100_000, "nested deeper"),
        ("a: " + "[" * 150 + "]" * 150, "nested deeper"),
        ("\ufeff- a", "no object"),
    ],
)
def test_what_is_no_document_is_refused(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        read_text(text.encode())


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(ConfigError, match="no UTF-8"):
        read_text(b"{\xff}")


def test_a_document_is_bounded() -> None:
    with pytest.raises(ConfigError, match="larger than 16 MiB"):
        read_text(b" " * (MAX_BYTES + 1))
    with pytest.raises(ConfigError, match="Convert it to JSON"):
        read_text(b"a: " + b"x" * yaml_events.MAX_YAML_BYTES)
    with pytest.raises(ConfigError, match="values"):
        read_text(b'{"a": [' + b"0," * yaml_events.MAX_VALUES + b"0]}")


def test_aliases_and_merges_stand_for_what_they_name() -> None:
    text = "base: &b {x: 1, y: [2]}\nother: *b\nmore: {<<: *b, x: 3}\nlist: {<<: [{x: 1}, {x: 2, z: 3}]}"
    found = read_text(text.encode())
    assert found["other"] == {"x": 1, "y": [2]}
    assert found["more"] == {"x": 3, "y": [2]}
    assert found["list"] == {"x": 1, "z": 3}


def test_keys_and_quoted_words_are_text_and_plain_words_mean_what_they_look_like() -> None:
    found = read_text(b"200: {a: 'true', b: true, c: no, d: 1.0, e: 2024-01-01, f: ~, g: 0x10, h: 1:30}")
    assert found == {
        "200": {"a": "true", "b": True, "c": "no", "d": 1.0, "e": "2024-01-01", "f": None, "g": 16, "h": "1:30"}
    }
