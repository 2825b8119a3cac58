"""Puts labels on tasks and takes them off: durable and in the journal before it counts as done.

A label holds from the moment on that it is set here, also where the journal then fails: whoever set it fails with it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from anyio import to_thread

from muxi_runtime.errors import RefusedError
from muxi_runtime.gateway.task import Mark
from muxi_runtime.journal.contract import Draft
from muxi_runtime.store.times import utc_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from muxi_runtime.gateway.labels import Reasons
    from muxi_runtime.gateway.task import Task
    from muxi_runtime.identity.principal import Principal
    from muxi_runtime.journal.contract import Journal

__all__ = ["TaskLabels"]


class TaskLabels:
    """The one place that changes them."""

    def __init__(self, journal: Journal, save: Callable[[Task], None]) -> None:
        """`save` writes a kept task to the database; it blocks."""
        self._journal = journal
        self._save = save

    async def add(self, task: Task, reasons: Reasons, *, source: str, call: str = "") -> None:
        """Label the task, unless it is labelled so already.

        Raises:
            JournalError: it could not be journalled. The label holds; nothing that brought it may be given out.
        """
        if all(label in task.labels and task.labels[label].is_told for label in reasons):
            return
        async with task.labelling:
            for label, why in reasons.items():
                mark = task.labels.setdefault(label, Mark(why, source, call, utc_text(datetime.now(UTC))))
                if not mark.is_told:
                    await self._write(task)
                    data = {"label": label, "source": mark.source[:500], "why": mark.why}
                    await self._tell("task.labelled", task, task.principal, mark.call, data)
                    mark.is_told = True

    async def remove(self, task: Task, label: str, *, reason: str, by: Principal) -> None:
        """Take a label off: a person's decision that what the task has seen may get out, or may be followed.

        A call that still runs labels the task again with what it brings.

        Raises:
            RefusedError: the task does not have it.
            JournalError: it could not be journalled; the label stays.
        """
        async with task.labelling:
            mark = task.labels.get(label)
            if mark is None:
                has = ", ".join(sorted(task.labels)) or "none"
                raise RefusedError(f"Task {task.id} has no label {label[:40]!r}; it has: {has}.")
            data = {"label": label, "reason": reason[:500], "source": mark.source[:500], "why": mark.why}
            await self._tell("task.declassified", task, by, "", data)
            del task.labels[label]
            await self._write(task)

    async def _write(self, task: Task) -> None:
        if task.kept:
            await to_thread.run_sync(partial(self._save, task))

    async def _tell(self, kind: str, task: Task, principal: Principal, call: str, data: dict[str, str]) -> None:
        await self._journal.append(Draft(kind, principal=str(principal), task=task.id, call=call or None, data=data))
