"""Documents with something strange in a place or three: a description, or a refusal that a person can read."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
from api_document import described, text_of
from hypothesis import given, settings
from hypothesis import strategies as st

from muxi_runtime.errors import ConfigError
from muxi_runtime.gateway.hidden import clean
from muxi_runtime.installing.openapi.text import read_text
from muxi_servers.openapi.document import read
from muxi_servers.openapi.server import build

WHOLE = {
    name: read_text(text_of(name, origin="https://pets.example.com"))
    for name in ("pets.yaml", "tickets.json", "storage.yaml")
}
WORDS = ("$ref", "type", "enum", "name", "in", "schema", "allOf", "oneOf", "properties", "items", "required", "url")
MEANT = ("#/components/schemas/Pet", "string", "object", "array", "path", "query", "header", "3.1.0", "{x}", "/")
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
NUMBER = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
STRANGE = st.recursive(
    st.none() | st.booleans() | NUMBER | TEXT | st.sampled_from(MEANT),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(TEXT | st.sampled_from(WORDS), below, max_size=3),
    max_leaves=6,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    below = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in below:
        yield from places(item, (*path, key))


PLACES = {name: list(places(whole)) for name, whole in WHOLE.items()}


def put(document: Any, path: tuple[Any, ...], value: object) -> None:
    """There, if the place is still there."""
    holder = document
    for part in path[:-1]:
        try:
            holder = holder[part]
        except (IndexError, KeyError, TypeError):
            return
    last = path[-1]
    if isinstance(holder, dict) or (isinstance(holder, list) and isinstance(last, int) and last < len(holder)):
        holder[last] = value


@pytest.mark.timeout(120)
@given(st.data())
@settings(deadline=None, max_examples=400)
def test_a_document_with_something_strange_in_it_is_described_or_refused(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(WHOLE)))
    document = copy.deepcopy(WHOLE[name])
    for _ in range(data.draw(st.integers(1, 3))):
        put(document, data.draw(st.sampled_from(PLACES[name])), data.draw(STRANGE))
    try:
        found = described(json.dumps(document).encode())
    except ConfigError as error:
        assert clean(str(error)) == (str(error), 0)  # noqa: PT017 - either way is right
        return
    assert build(read(found.content)) is not None
