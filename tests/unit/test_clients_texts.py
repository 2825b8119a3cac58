"""An entry goes into a client's file and out again, and everything else in it stays as it was, to the byte."""

from __future__ import annotations

import json
import tomllib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from muxi_runtime.setup.clients import json_edit, json_text, toml_edit
from muxi_runtime.setup.clients.errors import NotEditableError

ENTRY = {"type": "http", "url": "http://127.0.0.1:7890/mcp", "headers": {"Authorization": "Bearer k"}}
SECTION, NAME = "mcpServers", "muxi"

names = st.text(st.characters(codec="utf-8"), max_size=8)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | names,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
)
comment_texts = st.text(st.sampled_from('ab/"{}[],: \\'), max_size=8).map(lambda text: text.replace("*/", ""))
gaps = st.lists(
    st.sampled_from(["", " ", "\n", "\r\n", "\t", "\n    "])
    | comment_texts.map(lambda text: f"//{text}\n")
    | comment_texts.map(lambda text: f"/*{text}*/"),
    max_size=3,
).map("".join)


@st.composite
def objects(draw: st.DrawFn, members: dict[str, str]) -> str:
    """The text of an object: any white space, comments and trailing comma, anywhere that they may be."""
    parts = [
        f"{draw(gaps)}{json.dumps(name)}{draw(gaps)}:{draw(gaps)}{value}{draw(gaps)}" for name, value in members.items()
    ]
    return "{" + ",".join(parts) + draw(st.sampled_from(["", ","]) if parts else st.just("")) + draw(gaps) + "}"


@st.composite
def files(draw: st.DrawFn, *, with_section: bool = True) -> str:
    others = draw(st.dictionaries(names.filter(lambda name: name != SECTION), values, max_size=3))
    members = {name: json.dumps(value, indent=draw(st.sampled_from([None, 2]))) for name, value in others.items()}
    if with_section:
        servers = draw(st.dictionaries(names.filter(lambda name: name != NAME), values, min_size=1, max_size=3))
        section = draw(objects({name: json.dumps(value) for name, value in servers.items()}))
        members = dict(draw(st.permutations([*members.items(), (SECTION, section)])))
    return draw(gaps) + draw(objects(members)) + draw(gaps)


@given(files())
@example('{"mcpServers":{\n"":null// \n}}')
@example('{"mcpServers":{\n"":null/**/}}/**/\n')
@example('{"mcpServers":\n    {//\n "":null}}')
@example('{"mcpServers":{\r\n "a":1// x\r\n}}\r\n')
def test_added_to_a_section_and_removed_again_the_file_is_what_it_was(text):
    added = json_edit.with_entry(text, SECTION, NAME, ENTRY)
    assert json_edit.found(added, SECTION, NAME) == ENTRY
    assert json_edit.with_entry(added, SECTION, NAME, ENTRY) == added
    assert json_edit.without_entry(added, SECTION, NAME) == text


@given(files(with_section=False))
def test_only_an_empty_section_is_left_of_one_that_was_made(text):
    added = json_edit.with_entry(text, SECTION, NAME, ENTRY)
    assert json_edit.found(added, SECTION, NAME) == ENTRY
    removed = json_edit.without_entry(added, SECTION, NAME)
    assert json_text.read(removed).value == {**json_text.read(text).value, SECTION: {}}
    assert json_edit.without_entry(removed, SECTION, NAME) == removed


@given(files(), st.data())
def test_an_entry_anywhere_is_replaced_and_removed_without_touching_its_neighbours(text, data):
    servers = json_text.read(text).value[SECTION]
    name = data.draw(st.sampled_from(sorted(servers)))
    replaced = json_edit.with_entry(text, SECTION, name, ENTRY)
    assert list(json_text.read(replaced).value[SECTION]) == list(servers)
    removed = json_edit.without_entry(text, SECTION, name)
    assert name not in json_text.read(removed).value[SECTION]
    part = next(member.node for member in json_text.read(text).members if member.name == SECTION)
    for changed in (replaced, removed):
        assert changed.startswith(text[: part.start])
        assert changed.endswith(text[part.end :])


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", '{\n  "s": {\n    "n": {\n      "u": 1\n    }\n  }\n}\n'),
        ("{}", '{\n  "s": {\n    "n": {\n      "u": 1\n    }\n  }\n}'),
        ('{"s": {"a": {}}}', '{"s": {"a": {}, "n": {"u": 1}}}'),
        (
            '{\n\t"s": {\n\t\t"a": {} // keep\n\t}\n}\n',
            '{\n\t"s": {\n\t\t"a": {}, // keep\n\t\t"n": {\n\t\t\t"u": 1\n\t\t}\n\t}\n}\n',
        ),
        (
            '{\r\n    "s": {\r\n        "a": {},\r\n    },\r\n}',
            '{\r\n    "s": {\r\n        "a": {},\r\n        "n": {\r\n            "u": 1\r\n        },\r\n    },\r\n}',
        ),
        (
            '{\n    "theme": "One", // mine\n}\n',
            '{\n    "theme": "One", // mine\n    "s": {\n        "n": {\n            "u": 1\n        }\n    },\n}\n',
        ),
        (
            '\ufeff{\n "s": {\n  // none yet\n }\n}',
            '\ufeff{\n "s": {\n  // none yet\n  "n": {\n   "u": 1\n  }\n }\n}',
        ),
    ],
)
def test_an_entry_is_written_as_the_file_is_written(before, after):
    assert json_edit.with_entry(before, "s", "n", {"u": 1}) == after


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "line 1, column 2"),
        ('{\n  "a": secret\n}', "line 2, column 8"),
        ("[]", "no JSON object"),
        ('{"mcpServers": []}', "no object"),
        ('{"mcpServers": {}, "mcpServers": {}}', "more than once"),
        ('{"mcpServers": {"muxi": 1, "muxi": 2}}', "more than once"),
        ("[" * 5000, "nested deeper"),
        ("{} {}", "line 1"),
    ],
)
def test_what_cannot_be_edited_is_refused_without_repeating_it(text, why):
    with pytest.raises(NotEditableError, match=why) as refused:
        json_edit.with_entry(text, SECTION, NAME, ENTRY)
    assert "secret" not in str(refused.value)


def test_an_entry_behind_a_comment_leaves_nothing_in_it():
    text = '{"s": {"a": 1, // first\n "n": {}, "b": 2}}'
    assert json_text.read(json_edit.without_entry(text, "s", "n")).value == {"s": {"a": 1, "b": 2}}


CODEX = {"url": "http://127.0.0.1:7890/mcp", "http_headers": {"Authorization": 'Bearer "\x7f\\'}}
TOML_FILES = [
    "",
    "\n",
    "a = 1",
    "a = 1\n",
    "a = 1\n\n",
    "# only this",
    "a = 1\r\n\r\n[b]\r\nc = 2\r\n",
    '[mcp_servers.other]\ncommand = "x" # why\nargs = [\n  "[no.table]", # ]\n]\n',
    '[mcp_servers]\n\n[[list]]\na = """\n[mcp_servers.muxi]\n"""\n[[list]]\nb = \'\'\'\n"""\n[x]\'\'\'\n',
    "['mcp_servers'.\"with.dot\"]\nurl = 'u' # [",
]


@pytest.mark.parametrize("text", TOML_FILES)
def test_a_table_is_added_and_removed_again(text):
    added = toml_edit.with_entry(text, "mcp_servers", "muxi", CODEX)
    assert added.startswith(text)
    assert tomllib.loads(added)["mcp_servers"]["muxi"] == CODEX
    assert toml_edit.with_entry(added, "mcp_servers", "muxi", CODEX) == added
    assert toml_edit.without_entry(added, "mcp_servers", "muxi") == text


@given(
    st.lists(
        st.sampled_from(
            ["a%d = 1", "# note", "", "[t%d]", "[mcp_servers.s%d]", "b%d = [ # [\n1,\n]", 'c%d = """\n[x]\n"""']
        )
    ),
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
)
def test_any_toml_file_is_what_it_was_after_adding_and_removing(lines, newline, ended):
    text = newline.join(line % number if "%" in line else line for number, line in enumerate(lines))
    text = text.replace("\r\n", "\n").replace("\n", newline) + (newline if ended else "")
    added = toml_edit.with_entry(text, "mcp_servers", "muxi", CODEX)
    assert toml_edit.without_entry(added, "mcp_servers", "muxi") == text


def test_a_table_between_others_is_replaced_with_its_inner_tables():
    text = '[a]\n\n[mcp_servers.muxi]\nurl = "old"\n\n[mcp_servers.muxi.env]\nX = "1"\n# of b\n[b]\nc = 1\n'
    replaced = toml_edit.with_entry(text, "mcp_servers", "muxi", {"url": "new"})
    assert replaced == '[a]\n\n[mcp_servers.muxi]\nurl = "new"\n# of b\n[b]\nc = 1\n'
    assert toml_edit.without_entry(replaced, "mcp_servers", "muxi") == "[a]\n# of b\n[b]\nc = 1\n"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a = ", "no TOML .at end"),
        ('mcp_servers = "x"', "no table"),
        ('mcp_servers = {other = {url = "x"}}', "no TOML|more than this"),
        ('mcp_servers.muxi.url = "x"', "not a table of its own"),
        ('[mcp_servers]\nmuxi = {url = "x"}', "not a table of its own"),
        ("[mcp_servers.muxi]\n[b]\n[mcp_servers.muxi.env]\n", "other tables stand between"),
    ],
)
def test_a_table_that_stands_otherwise_is_refused(text, why):
    with pytest.raises(NotEditableError, match=why):
        toml_edit.with_entry(text, "mcp_servers", "muxi", CODEX)
