"""A process of its own that appends to a journal: `HOME COUNT APPENDERS SYNC`; prints each event once it is durable."""

from __future__ import annotations

import sys
from pathlib import Path

import anyio

from muxi_runtime.journal.contract import Draft
from muxi_runtime.journal.settings import JournalSettings
from muxi_runtime.journal.sqlite import SqliteJournal
from muxi_runtime.store.engine import database_path, open_store


async def main(home: Path, count: int, appenders: int, sync: str) -> None:
    open_store(home).dispose()
    settings = JournalSettings.model_validate({"sync": sync, "batch_events": 8})
    async with SqliteJournal(database_path(home), settings) as journal, anyio.create_task_group() as group:

        async def append(number: int) -> None:
            for step in range(count):
                event = await journal.append(Draft("test.appended", data={"appender": number, "step": step}))
                sys.stdout.write(f"{event.seq}:{event.hash}\n")
                sys.stdout.flush()

        for number in range(appenders):
            group.start_soon(append, number)


if __name__ == "__main__":
    anyio.run(main, Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
