"""Whatever a tool prints, a record of the journal is one line, and acts on no terminal."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from muxi_runtime.cli.main import program
from muxi_runtime.journal.chain import canonical, event_hash, prepare, seal, text_of, to_line
from muxi_runtime.journal.contract import GENESIS, Draft
from muxi_runtime.journal.settings import JournalSettings
from muxi_runtime.journal.writer import append_once
from muxi_runtime.store.engine import database_path, open_store

ATTACKS = {
    "line feed": 'x"}\n{"seq": 99, "kind": "call.decided"}',
    "carriage return": "ok\rforged",
    "escape sequence": "\x1b[2J\x1b]0;owned\x07\x9b31m",
    "unicode separators": "a\u2028b\u2029c\u0085d",
    "bidirectional override": "\u202egnp.exe\u2066",
    "invisible tags": "\U000e0041\u200b\ufeff",
    "lone surrogate": "\ud800",
    "nul": "\x00",
}
ANY_TEXT = st.text(st.characters(codec=None), max_size=50)
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY_TEXT, inner, max_size=3),
    max_leaves=10,
)


def sealed(draft):
    return seal(prepare(draft, max_bytes=65536), seq=1, at="2026-01-01T00:00:00.000000Z", previous=GENESIS)


@pytest.mark.promise("journal-one-line-a-record")
@given(text=ANY_TEXT, data=ANY_JSON)
def test_a_record_is_one_line_of_printable_ascii_that_reads_back(text, data):
    event = sealed(Draft("tool.printed", principal=text, task=text, call=text, data={"value": data, text: text}))
    line = to_line(event)
    assert line.isascii()
    assert line.isprintable()
    read = json.loads(line)
    assert read["data"] == json.loads(json.dumps(event.data))
    assert (read["seq"], read["kind"]) == (1, "tool.printed")


@pytest.mark.promise("journal-one-line-a-record")
@pytest.mark.parametrize("form", [[], ["--json"]], ids=["people", "json"])
@pytest.mark.parametrize("text", ATTACKS.values(), ids=ATTACKS.keys())
def test_the_command_prints_one_harmless_line_a_record(tmp_path, text, form):
    open_store(tmp_path).dispose()
    for _ in range(2):
        draft = Draft("tool.printed", principal=text, task=text, call=text, data={"out": text, text: 1})
        append_once(database_path(tmp_path), JournalSettings(), draft)
    result = CliRunner().invoke(program, ["--home", str(tmp_path), "journal", "tail", *form])
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert len(lines) == 2
    assert all(line.isprintable() for line in lines)
    if form:
        assert [json.loads(line)["seq"] for line in lines] == [1, 2]


@given(texts=st.tuples(*[st.none() | ANY_TEXT] * 3), data=st.dictionaries(ANY_TEXT, ANY_JSON, max_size=3))
def test_the_hash_of_an_event_is_that_of_its_fields_whatever_they_hold(texts, data):
    draft = prepare(Draft("call.decided", *texts, data), max_bytes=200)
    event = seal(draft, seq=7, at="2026-01-01T00:00:00.000000Z", previous=GENESIS[:-1] + '"')
    assert event.hash == event_hash(event)
    assert text_of(draft) == canonical(event.data)
