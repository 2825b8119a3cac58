from __future__ import annotations

import sqlite3
import threading
from datetime import UTC, datetime, timedelta

import pytest

from muxi_runtime.errors import JournalError
from muxi_runtime.journal.contract import Draft
from muxi_runtime.journal.read import Query, follow, search, tail
from muxi_runtime.journal.settings import JournalSettings
from muxi_runtime.journal.writer import ChainWriter
from muxi_runtime.store.engine import database_path, open_store

DRAFTS = (
    Draft("call.decided", "ada/k1", "t-1", "c-1", {"rule": "built-in-tools"}),
    Draft("call.finished", "ada/k1", "t-1", "c-1", {"text": 'a "quoted" 100% _name'}),
    Draft("call.decided", "ada/k2", "t-2", "c-2", {"text": "Grüße\n"}),
    Draft("callback.made", "adam", "t-1", "c-3"),
    Draft("key.created", "local"),
)


@pytest.fixture
def writer(tmp_path):
    open_store(tmp_path).dispose()
    writer = ChainWriter(database_path(tmp_path), JournalSettings())
    writer.append(DRAFTS)
    yield writer
    writer.close()


@pytest.fixture
def engine(writer, tmp_path):
    assert writer.append([]) == []  # what there is to read was written
    engine = open_store(tmp_path)
    yield engine
    engine.dispose()


@pytest.mark.parametrize(
    ("query", "found"),
    [
        (Query(), [1, 2, 3, 4, 5]),
        (Query(kind="call"), [1, 2, 3]),
        (Query(kind="call.decided"), [1, 3]),
        (Query(kind="cal"), []),
        (Query(principal="ada"), [1, 2, 3]),
        (Query(principal="ada/k2"), [3]),
        (Query(task="t-1"), [1, 2, 4]),
        (Query(call="c-1", kind="call.finished"), [2]),
        (Query(text='a "quoted" 100%'), [2]),
        (Query(text="QUOTED"), [2]),
        (Query(text="100%name"), []),
        (Query(text="Grüße\n"), [3]),
        (Query(after=3), [4, 5]),
    ],
)
def test_a_search_finds_what_fits_all_that_is_asked(engine, query, found):
    assert [event.seq for event in search(engine, query)] == found


def test_a_search_by_time_takes_the_start_and_leaves_the_end_out(engine):
    at = datetime.fromisoformat(next(search(engine, Query())).at)
    step = timedelta(microseconds=1)
    assert len(list(search(engine, Query(since=at, until=at + step)))) == 5
    assert list(search(engine, Query(since=at + step))) == []
    assert list(search(engine, Query(until=at))) == []
    assert datetime.now(UTC) - at < timedelta(minutes=5)


def test_a_search_streams_over_many_pages_and_stops_at_its_limit(engine, writer):
    for _ in range(5):
        writer.append([Draft("test.filled")] * 500)
    assert [event.seq for event in search(engine, Query())] == list(range(1, 2506))
    assert len(list(search(engine, Query(), limit=1500))) == 1500
    assert list(search(engine, Query(), limit=0)) == []


def test_tail_gives_the_newest_in_their_order(engine):
    assert [event.seq for event in tail(engine, 2)] == [4, 5]
    assert [event.seq for event in tail(engine, 2, Query(kind="call"))] == [2, 3]


def test_a_read_event_is_the_event_that_was_appended(engine, writer):
    (appended,) = writer.append([DRAFTS[1]])
    assert tail(engine, 1) == [appended]


def test_follow_gives_what_was_there_then_what_comes_and_ends_when_told(engine, writer):
    stop = threading.Event()
    events = follow(engine, Query(after=3), stop=stop, poll_seconds=0.01)
    assert [next(events).seq, next(events).seq] == [4, 5]
    writer.append([Draft("test.later")])
    assert next(events).kind == "test.later"
    stop.set()
    assert list(events) == []


@pytest.mark.parametrize("data", ["", "[]", "null", "{", b"\xff"])
def test_a_damaged_row_is_an_error_that_points_to_verify(tmp_path, engine, data):
    with sqlite3.connect(database_path(tmp_path)) as connection:
        connection.execute("UPDATE journal SET data = ? WHERE seq = 2", (data,))
    connection.close()
    with pytest.raises(JournalError, match=r"Event 2 of the journal is damaged.*journal verify"):
        list(search(engine, Query()))
