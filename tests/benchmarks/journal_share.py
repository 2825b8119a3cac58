"""What two durable events of each call cost alone, as many calls at once as the load has connections."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import anyio

from muxi_runtime.journal.contract import Draft
from muxi_runtime.journal.sqlite import SqliteJournal
from muxi_runtime.store.engine import database_path, open_store

__all__ = ["journal_share"]

CALLS = 4000
DATA = {"server": "echo0", "tool": "echo0", "decision": "allow", "rules": ["builtin.allow"], "arguments_bytes": 12}


async def journal_share(connections: int) -> float:
    """Processor time of this process for the two events of a call, in ms."""
    with tempfile.TemporaryDirectory(prefix="muxi-bench-journal-") as folder:
        open_store(Path(folder)).dispose()
        async with SqliteJournal(database_path(Path(folder))) as journal:

            async def calls(first: int) -> None:
                for number in range(first, CALLS, connections):
                    call = f"c-{number:016d}"
                    await journal.append(Draft("call.decided", principal="p", task="t", call=call, data=DATA))
                    await journal.append(Draft("call.done", principal="p", task="t", call=call, data=DATA))

            started = time.process_time()
            async with anyio.create_task_group() as group:
                for first in range(connections):
                    group.start_soon(calls, first)
            return (time.process_time() - started) * 1000 / CALLS
