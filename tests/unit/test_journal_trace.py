from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from muxi_runtime.cli.exit_codes import ExitCode
from muxi_runtime.cli.main import program
from muxi_runtime.errors import RefusedError
from muxi_runtime.journal.contract import Draft
from muxi_runtime.journal.settings import JournalSettings
from muxi_runtime.journal.trace import trace
from muxi_runtime.journal.writer import ChainWriter
from muxi_runtime.store.engine import database_path, open_store

TOOL = {"server": "code", "tool": "run", "seconds": 0.1}
WHO = {"role": "operator", "groups": ["billing", "night"], "labels": ["private", "untrusted"]}
DECIDED = {**TOOL, "effect": "allow", "rule": "built-in-tools", "pin": "p", "fingerprint": "f", **WHO}
EARLIER = {name: value for name, value in DECIDED.items() if name not in WHO}
ORDERS = {"instructions": "withhold", "passages": 2, "characters": 90, "rules": ["override"], "withheld": []}
FINISHED = {**TOOL, "sandbox": "s1", "is_error": False, "result_bytes": 1200, **ORDERS}
PLACE = {"server": "code", "sandbox": "s1", "host": "example.org", "port": 443, "scheme": "connect"}
ALLOWED = {**PLACE, "allowed": True, "rule": "hosts-of-the-profile", "reason": "", "address": "192.0.2.1"}
CLOSED = {**PLACE, "bytes_up": 10, "bytes_down": 2000, "seconds": 0.2, "why": "the host ended it"}
LEASED = {"server": "code", "sandbox": "s1", "image": "python:1", "network": [], "warm": True, "seconds": 0.001}

DRAFTS = (
    Draft("task.started", "ada/k1", "t-1", None, {"client": "x"}),  # 1
    Draft("call.decided", "ada/k1", "t-1", "c-1", DECIDED),  # 2
    Draft("sandbox.leased", None, "t-1", None, LEASED),  # 3
    Draft("call.decided", "bob", "t-2", "c-9", DECIDED),  # 4
    Draft("egress.decided", "ada/k1", "t-1", "c-1", {"connection": "n-1", **ALLOWED}),  # 5
    Draft("egress.decided", "ada/k1", "t-1", None, {"connection": "n-2", "calls": ["c-1", "c-2"], **ALLOWED}),  # 6
    Draft("egress.closed", "ada/k1", "t-1", None, {"connection": "n-2", "calls": ["c-1", "c-2"], **CLOSED}),  # 7
    Draft("egress.closed", "ada/k1", "t-1", "c-1", {"connection": "n-1", **CLOSED}),  # 8
    Draft("call.finished", "ada/k1", "t-1", "c-1", FINISHED),  # 9
    Draft("call.decided", "ada/k1", "t-1", "c-2", DECIDED),  # 10
    Draft("key.created", "local", None, None, {"key": "k"}),  # 11
    Draft("call.decided", "ada", "t-3", "c-3", EARLIER),  # 12
)


@pytest.fixture
def home(tmp_path):
    open_store(tmp_path).dispose()
    writer = ChainWriter(database_path(tmp_path), JournalSettings())
    writer.append(DRAFTS)
    writer.close()
    return tmp_path


@pytest.fixture
def engine(home):
    engine = open_store(home)
    yield engine
    engine.dispose()


def seqs(node):
    return [[event.seq for event in part.events] for part in node.parts]


@pytest.mark.parametrize("wanted", ["c-1", "2", "5", "9", "n-1", "s1"])
def test_from_any_event_of_a_call_one_sees_all_that_belongs_to_it_and_nothing_else(engine, wanted):
    found = trace(engine, wanted)
    assert found.title == "call c-1"
    assert seqs(found) == [[2], [3], [5, 8], [6, 7], [9]]


def test_a_task_has_its_calls_below_it_and_not_those_of_others(engine):
    found = trace(engine, "t-1")
    assert [part.title for part in found.parts] == ["", "call c-1", "", "", "call c-2"]
    assert [event.seq for node in found.walk() for event in node.events if event.principal == "bob"] == []


def test_an_event_that_belongs_to_nothing_stands_alone(engine):
    assert seqs(trace(engine, "11")) == []
    assert [event.kind for event in trace(engine, "11").events] == ["key.created"]


@pytest.mark.parametrize("wanted", ["13", "c-0", "t-0", "n-0", "0", "example", "'; drop table journal; --"])
def test_what_the_journal_does_not_have_is_said(engine, wanted):
    with pytest.raises(RefusedError, match=r"has no|No call"):
        trace(engine, wanted)


def test_people_see_a_tree(home):
    shown = CliRunner().invoke(program, ["--home", str(home), "journal", "trace", "9"])
    assert shown.exit_code == ExitCode.OK
    assert "call c-1: code.run by ada/k1 in task t-1" in shown.stdout
    assert "decided: allow, by rule built-in-tools, for the role operator in billing, night" in shown.stdout
    assert "in a task that has seen private and untrusted content" in shown.stdout
    assert "sandbox s1 of code, from the warm pool" in shown.stdout
    assert "connection to example.org:443 (192.0.2.1) allowed, by rule hosts-of-the-profile" in shown.stdout
    assert "10 bytes out, 2.0 kB in" in shown.stdout
    assert "finished: a result of 1.2 kB" in shown.stdout
    assert "withheld: 2 passages of 90 characters, for override" in shown.stdout


def test_an_event_of_an_earlier_version_is_shown_with_what_it_has(home):
    shown = CliRunner().invoke(program, ["--home", str(home), "journal", "trace", "c-3"])
    assert "decided: allow, by rule built-in-tools\n" in shown.stdout


def test_programs_get_the_whole_events(home):
    shown = CliRunner().invoke(program, ["--home", str(home), "journal", "trace", "c-1", "--json"])
    document = json.loads(shown.stdout)
    assert document["parts"][0]["events"][0]["data"] == DECIDED
    assert len(document["parts"]) == 5


def test_an_id_that_is_not_there_is_a_refusal(home):
    shown = CliRunner().invoke(program, ["--home", str(home), "journal", "trace", "c-404"])
    assert isinstance(shown.exception, RefusedError)
    assert "muxi-runtime journal search" in shown.exception.remedy
