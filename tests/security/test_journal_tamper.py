"""Whoever changes the journal's database is found out."""

from __future__ import annotations

import sqlite3
from dataclasses import replace

import pytest

from muxi_runtime.errors import JournalError
from muxi_runtime.journal.anchor import Anchor, AnchorFile, anchor_path
from muxi_runtime.journal.chain import canonical, event_hash
from muxi_runtime.journal.contract import GENESIS, Draft
from muxi_runtime.journal.read import Query, search
from muxi_runtime.journal.settings import JournalSettings
from muxi_runtime.journal.verify import verify
from muxi_runtime.journal.writer import HEAD_LOST, ChainWriter, append_once
from muxi_runtime.store.engine import database_path, open_store

COLUMNS = ("at", "kind", "principal", "task", "call", "data", "previous", "hash")
EVENTS = 10


@pytest.fixture
def home(tmp_path):
    open_store(tmp_path).dispose()
    writer = ChainWriter(database_path(tmp_path), JournalSettings())
    writer.open()
    for number in range(EVENTS):
        writer.append([Draft("call.decided", "ada", "t-1", f"c-{number}", {"number": number})])
    writer.close()
    return tmp_path


def report_of(home, **options):
    engine = open_store(home)
    try:
        return verify(engine, AnchorFile(anchor_path(database_path(home))), **options)
    finally:
        engine.dispose()


def execute(home, sql, *values):
    with sqlite3.connect(database_path(home)) as connection:
        connection.execute(sql, values)
    connection.close()


def test_a_new_journal_has_a_head_from_its_start_so_that_a_missing_one_tells(tmp_path):
    open_store(tmp_path).dispose()
    writer = ChainWriter(database_path(tmp_path), JournalSettings())
    writer.open()
    writer.close()
    assert AnchorFile(anchor_path(database_path(tmp_path))).read() == Anchor(0, GENESIS)


def rebuild(home, start):
    """What a forger would do who knows the format: change one event and compute all later hashes anew."""
    engine = open_store(home)
    events = list(search(engine, Query()))
    engine.dispose()
    previous = events[start - 2].hash if start > 1 else GENESIS
    for event in events[start - 1 :]:
        forged = replace(event, data={"number": -1}, previous=previous)
        forged = replace(forged, hash=event_hash(forged))
        previous = forged.hash
        execute(
            home,
            "UPDATE journal SET data = ?, previous = ?, hash = ? WHERE seq = ?",
            canonical(forged.data),
            forged.previous,
            forged.hash,
            forged.seq,
        )
    return Anchor(EVENTS, previous)


def test_an_untouched_journal_is_sound(home):
    report = report_of(home)
    assert (report.ok, report.events, report.head.seq, report.notes) == (True, EVENTS, EVENTS, [])


@pytest.mark.promise("journal-shows-tampering")
@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("value", ["0" * 64, '{"number":4 }', "", b"\x00"], ids=["zeros", "json", "empty", "blob"])
def test_a_changed_field_is_found(home, column, value):
    execute(home, f'UPDATE journal SET "{column}" = ? WHERE seq = 5', value)  # noqa: S608 - one of our columns
    report = report_of(home)
    assert not report.ok
    assert report.broken.seq == 5


@pytest.mark.promise("journal-shows-tampering")
def test_a_removed_event_is_found(home):
    execute(home, "DELETE FROM journal WHERE seq = 5")
    broken = report_of(home).broken
    assert (broken.seq, "missing" in broken.problem) == (5, True)


@pytest.mark.promise("journal-shows-tampering")
def test_a_removed_event_with_the_rest_moved_up_is_found(home):
    execute(home, "DELETE FROM journal WHERE seq = 5")
    for seq in range(6, EVENTS + 1):
        execute(home, "UPDATE journal SET seq = seq - 1 WHERE seq = ?", seq)
    assert report_of(home).broken.seq == 5


@pytest.mark.promise("journal-shows-tampering")
def test_reordered_events_are_found(home):
    for before, after in ((5, 100), (6, 5), (100, 6)):
        execute(home, "UPDATE journal SET seq = ? WHERE seq = ?", after, before)
    assert report_of(home).broken.seq == 5


@pytest.mark.promise("journal-shows-tampering")
def test_an_inserted_event_is_found(home):
    execute(home, "UPDATE journal SET seq = 11 WHERE seq = 10")
    execute(
        home,
        'INSERT INTO journal SELECT 10, "at", kind, principal, task, "call", data, previous, hash'
        " FROM journal WHERE seq = 9",
    )
    assert report_of(home).broken.seq == 10


@pytest.mark.promise("journal-shows-tampering")
def test_a_changed_event_with_its_own_hash_made_anew_is_found_at_the_next(home):
    engine = open_store(home)
    event = next(event for event in search(engine, Query()) if event.seq == 5)
    engine.dispose()
    forged = replace(event, principal="eve")
    execute(home, "UPDATE journal SET principal = ?, hash = ? WHERE seq = 5", "eve", event_hash(forged))
    broken = report_of(home).broken
    assert (broken.seq, "does not follow" in broken.problem) == (6, True)


@pytest.mark.promise("journal-shows-tampering")
@pytest.mark.parametrize("start", [1, 5, EVENTS])
def test_a_chain_rebuilt_to_its_end_is_found_by_the_head_file(home, start):
    rebuild(home, start)
    broken = report_of(home).broken
    assert (broken.seq, "rebuilt" in broken.problem) == (EVENTS, True)


@pytest.mark.promise("journal-shows-tampering")
def test_a_rebuilt_chain_with_a_forged_head_file_is_found_by_a_head_kept_elsewhere(home):
    kept = report_of(home).head
    forged = rebuild(home, 5)
    AnchorFile(anchor_path(database_path(home))).move(forged, flush=False, backwards=True)
    assert report_of(home).ok, "without a head kept elsewhere this cannot be noticed, as the documentation says"
    assert report_of(home, expect=[kept]).broken.seq == EVENTS


@pytest.mark.promise("journal-shows-cut-end")
@pytest.mark.parametrize("left", [0, 1, EVENTS - 1])
def test_a_cut_off_end_is_found(home, left):
    execute(home, "DELETE FROM journal WHERE seq > ?", left)
    broken = report_of(home).broken
    assert (broken.seq, "missing at the end" in broken.problem) == (left + 1, True)


@pytest.mark.promise("journal-shows-cut-end")
@pytest.mark.parametrize("left", [0, 7])
def test_a_cut_off_end_is_recorded_when_the_journal_is_opened_and_verify_goes_on_saying_so(home, left):
    execute(home, "DELETE FROM journal WHERE seq > ?", left)
    append_once(database_path(home), JournalSettings(), Draft("test.after"))
    report = report_of(home)
    assert (report.ok, report.broken, report.losses) == (False, None, [left + 1])
    engine = open_store(home)
    (event,) = search(engine, Query(kind=HEAD_LOST))
    engine.dispose()
    assert event.data["reason"] == "cut"
    assert event.data["anchor"]["seq"] == EVENTS
    append_once(database_path(home), JournalSettings(), Draft("test.after"))
    assert report_of(home).losses == [left + 1]


@pytest.mark.promise("journal-shows-cut-end")
def test_a_removed_head_file_is_noted_and_recorded(home):
    anchor_path(database_path(home)).unlink()
    assert report_of(home).notes
    append_once(database_path(home), JournalSettings(), Draft("test.after"))
    assert report_of(home).losses == [EVENTS + 1]


@pytest.mark.promise("journal-shows-cut-end")
@pytest.mark.parametrize("text", ["{}", "[1, 2]", '{"seq": "1", "hash": "00"}', "\x00", "9" * 500])
def test_a_damaged_head_file_is_an_error_that_says_what_to_do(home, text):
    anchor_path(database_path(home)).write_text(text)
    assert not report_of(home).ok
    with pytest.raises(JournalError, match="head file"):
        append_once(database_path(home), JournalSettings(), Draft("test.after"))
