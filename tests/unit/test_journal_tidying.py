"""What appends leave in the kernel's memory goes to the disk beside them."""

from __future__ import annotations

import fcntl
import threading
from pathlib import Path

import anyio
import pytest

from muxi_runtime.errors import JournalError
from muxi_runtime.journal import sqlite
from muxi_runtime.journal.anchor import Anchor, AnchorFile, anchor_path
from muxi_runtime.journal.contract import Draft
from muxi_runtime.journal.sqlite import SqliteJournal
from muxi_runtime.journal.tidying import Tidier
from muxi_runtime.journal.verify import verify
from muxi_runtime.store.engine import database_path, open_store


@pytest.fixture
def path(tmp_path: Path) -> Path:
    open_store(tmp_path).dispose()
    return database_path(tmp_path)


class HeldTidier(Tidier):
    """Waits as a slow disk does, until the test lets it go on."""

    began = threading.Event()
    go_on = threading.Event()

    def tidy(self, head: Anchor, *, checkpoint: bool) -> None:
        self.began.set()
        assert self.go_on.wait(30)
        super().tidy(head, checkpoint=checkpoint)


class BrokenTidier(Tidier):
    """Its disk is full."""

    tries = 0

    def tidy(self, head: Anchor, *, checkpoint: bool) -> None:
        del head, checkpoint
        type(self).tries += 1
        raise JournalError("no room")


@pytest.fixture
def always_tidying(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("muxi_runtime.journal.writer._FLUSH_SECONDS", 0.0)


@pytest.mark.usefixtures("always_tidying")
async def test_appends_do_not_wait_for_a_disk_that_is_slow(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "Tidier", HeldTidier)
    async with SqliteJournal(path) as journal:
        await journal.append(Draft("call.decided"))
        assert await anyio.to_thread.run_sync(HeldTidier.began.wait, 30)
        with anyio.fail_after(30):
            for _ in range(100):
                last = await journal.append(Draft("call.decided"))
        HeldTidier.go_on.set()
    assert last.seq == 101
    anchor = AnchorFile(anchor_path(path))
    assert anchor.read() == Anchor(last.seq, last.hash)
    engine = open_store(path.parent)
    assert verify(engine, anchor).ok
    engine.dispose()


@pytest.mark.usefixtures("always_tidying")
async def test_a_disk_that_cannot_be_reached_is_tried_again_and_refuses_no_append(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sqlite, "Tidier", BrokenTidier)
    async with SqliteJournal(path) as journal:
        with anyio.fail_after(30):
            while BrokenTidier.tries < 2:
                await journal.append(Draft("call.decided"))
    assert "behind" in caplog.text


class LockingTidier(HeldTidier):
    """Has the anchor's file to itself all the while, as one that waits for the disk has."""

    began = threading.Event()
    go_on = threading.Event()

    def tidy(self, head: Anchor, *, checkpoint: bool) -> None:
        with self.file.open("r+") as anchor:
            fcntl.flock(anchor, fcntl.LOCK_EX)
            self.began.set()
            assert self.go_on.wait(30)
        del head, checkpoint


@pytest.mark.usefixtures("always_tidying")
async def test_the_anchor_knows_what_came_meanwhile_without_another_append(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "Tidier", LockingTidier)
    monkeypatch.setattr(LockingTidier, "file", anchor_path(path), raising=False)
    async with SqliteJournal(path) as journal:
        await journal.append(Draft("call.decided"))
        assert await anyio.to_thread.run_sync(LockingTidier.began.wait, 30)
        monkeypatch.setattr("muxi_runtime.journal.writer._FLUSH_SECONDS", 3600.0)
        last = await journal.append(Draft("call.decided"))
        behind = AnchorFile(anchor_path(path)).read()
        LockingTidier.go_on.set()
        with anyio.fail_after(30):
            while AnchorFile(anchor_path(path)).read() != Anchor(last.seq, last.hash):  # noqa: ASYNC110  # a file
                await anyio.sleep(0.01)
    assert behind is not None
    assert behind.seq == 1
