"""Names of tools, arguments and secrets: ASCII, bounded, each of them once, whatever a document calls its things."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from muxi_runtime.catalog.secret_profile import NAME as SECRET
from muxi_runtime.installing.openapi.names import Names, argument_name, secret_name, shown, tool_name

SERVER = st.from_regex(r"[a-z][a-z0-9-]{0,31}", fullmatch=True)
PLAIN = re.compile(r"[A-Za-z0-9_-]{1,64}")


@given(st.lists(st.tuples(st.text(max_size=80) | st.none(), st.text(max_size=80)), max_size=20), st.integers(10, 64))
def test_names_of_tools_are_plain_bounded_and_all_different(
    given_names: list[tuple[str | None, str]], longest: int
) -> None:
    names = Names(longest, ("dry_run_pets",))
    made = [names.unique(tool_name(name, "get", f"/{path}")) for name, path in given_names]
    assert all(PLAIN.fullmatch(name) and len(name) <= longest for name in made)
    assert len({name.casefold() for name in (*made, "dry_run_pets")}) == len(made) + 1


@given(st.lists(st.text(max_size=80), max_size=20))
def test_names_of_arguments_are_plain_bounded_and_all_different(given_names: list[str]) -> None:
    names = Names(64, ("body", "pages"))
    made = [names.unique(argument_name(name)) for name in given_names]
    assert all(PLAIN.fullmatch(name) for name in made)
    assert len({name.casefold() for name in (*made, "body", "pages")}) == len(made) + 2


@given(SERVER, st.text(max_size=80))
def test_a_secret_has_a_name_that_secrets_have(server: str, scheme: str) -> None:
    assert SECRET.fullmatch(secret_name(server, scheme))


@given(st.text(max_size=400), st.integers(4, 200))
def test_what_is_shown_is_one_line_and_bounded(text: str, longest: int) -> None:
    line = shown(text, longest)
    assert len(line) <= longest
    assert "\n" not in line


def test_a_name_is_as_the_document_has_it_where_that_is_plain() -> None:
    assert tool_name("listPets", "get", "/pets") == "listPets"
    assert tool_name("pets.list/all", "get", "/pets") == "pets_list_all"
    assert tool_name(None, "get", "/pets/{petId}/toys") == "get_pets_petId_toys"
    assert tool_name("deletе", "get", "/pets") == "get_pets"  # noqa: RUF001 - its last letter is Cyrillic
    assert argument_name("filter[owner]") == "filter_owner"
    assert secret_name("pets", "api-key") == "PETS_API_KEY"
