"""Every journal passes the one suite of the seam."""

from __future__ import annotations

from contextlib import asynccontextmanager

import pytest

from muxi_runtime.journal.conformance import CHECKS
from muxi_runtime.journal.memory import MemoryJournal
from muxi_runtime.journal.sqlite import SqliteJournal
from muxi_runtime.store.engine import database_path, open_store


@pytest.fixture(params=["memory", "sqlite", "sqlite-full"])
def open_journal(request, tmp_path):
    @asynccontextmanager
    async def in_memory(settings):
        async with MemoryJournal(settings) as journal:
            yield journal

    @asynccontextmanager
    async def in_sqlite(settings):
        open_store(tmp_path).dispose()
        sync = "full" if request.param == "sqlite-full" else "normal"
        async with SqliteJournal(database_path(tmp_path), settings.model_copy(update={"sync": sync})) as journal:
            yield journal

    return in_memory if request.param == "memory" else in_sqlite


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_a_journal_keeps_the_contract(open_journal, check):
    await check(open_journal)
