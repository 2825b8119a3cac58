"""A few words find the tools that fit, best first, and always in the same order."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muxi_runtime.gateway.ranking import Index, words
from muxi_runtime.gateway.tools import Tool


def tool(full_name: str, description: str = "", *properties: str, **more: Any) -> Tool:
    server, _, name = full_name.partition("__")
    schema = {"type": "object", "properties": {name: {"type": "string"} for name in properties}}
    return Tool.of(server, {"name": name, "description": description, "inputSchema": schema, **more})


TOOLS = [
    tool("files__read", "Read a file of the workspace.", "path", "offset"),
    tool("files__write", "Write a file, making its folders.", "path", "content"),
    tool("files__search", "Search the workspace's files for a pattern, and read nothing else.", "pattern", "glob"),
    tool("git__create_commit", "Record the staged changes.", "message", "author"),
    tool("git__listBranches", "All branches.", "remote"),
    tool("browser__take_screenshot", "A picture of the page.", "fullPage", title="Take a picture"),
    tool("weather__forecast", "The weather of the next days at a place.", "latitude", "longitude"),
    tool("muxi__task_new", "Open a task: fresh sandboxes, an empty workspace."),
]


def names(query: str, *, server: str | None = None) -> list[str]:
    return [found.full_name for found in Index(TOOLS).best(query, server=server)]


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("read a file", "files__read"),
        ("write files", "files__write"),
        ("search for a pattern", "files__search"),
        ("commit", "git__create_commit"),
        ("COMMIT author message", "git__create_commit"),
        ("list branches", "git__listBranches"),
        ("branch", "git__listBranches"),
        ("picture", "browser__take_screenshot"),
        ("screen", "browser__take_screenshot"),
        ("full page", "browser__take_screenshot"),
        ("latitude", "weather__forecast"),
        ("new task", "muxi__task_new"),
        ("files__search", "files__search"),
        ("search", "files__search"),
    ],
)
def test_the_tool_that_is_meant_comes_first(query, first):
    assert names(query)[0] == first


def test_a_tools_own_name_finds_it_before_one_that_says_the_word_more_often():
    tools = [tool("a__run", "x"), tool("b__other", "run run run run", "run", title="run")]
    assert Index(tools).best("run")[0] is tools[0]


def test_what_has_none_of_the_words_is_not_found():
    assert names("qqqq zz") == []
    assert "weather__forecast" not in names("commit")


def test_a_word_in_few_tools_counts_for_more_than_one_in_many():
    assert names("workspace forecast")[0] == "weather__forecast"


def test_no_words_give_all_tools_by_name():
    assert names("  *") == sorted(found.full_name for found in TOOLS)
    assert names("", server="git") == ["git__create_commit", "git__listBranches"]


def test_one_server_is_searched_alone():
    assert names("read commit", server="git") == ["git__create_commit"]


def test_the_order_does_not_depend_on_the_order_of_the_tools():
    for start in range(len(TOOLS)):
        index = Index([*TOOLS[start:], *TOOLS[:start]])
        for query in ("workspace", "a file of the page", "list all", ""):
            assert [found.full_name for found in index.best(query)] == names(query)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("readTextFiles", ["read", "text", "file"]),
        ("read_text-files", ["read", "text", "file"]),
        ("HTTPServer2go", ["http", "server2go"]),
        ("Über straße", ["über", "strasse"]),
        ("class status this", ["class", "status", "this"]),
        ("", []),
    ],
)
def test_names_and_texts_have_the_same_words(text, expected):
    assert words(text) == expected


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["properties", "items", "a"]), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(st.text(), json_values, json_values, st.text())
def test_whatever_a_server_says_of_its_tool_can_be_indexed(description, title, properties, query):
    odd = tool("s__odd", description, title=title, annotations={"title": title})
    object.__setattr__(odd, "definition", {**odd.definition, "inputSchema": {"properties": properties}})
    found = Index([odd, *TOOLS]).best(query)
    assert len(set(map(id, found))) == len(found)


def test_a_server_cannot_make_a_search_long():
    loud = tool("loud__tool", " ".join(f"word{number}" for number in range(200_000)))
    index = Index([loud, *TOOLS])
    assert len(index._in_order) < 5_000  # noqa: SLF001 - the bound itself is the promise
    assert index.best("wor " * 100)[0] is loud


def test_nothing_to_find_is_found_nowhere():
    assert Index([]).best("anything") == []
