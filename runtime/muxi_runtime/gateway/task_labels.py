"""Puts labels on tasks and takes them off: durable and in the journal before it counts as done.

A label holds from the moment on that it is set here, also where the journal then fails: whoever set it fails with it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from anyio import to_thread

from muxi_runtime.errors import RefusedError
from muxi_runtime.gateway.task import Mark, new_sight
from muxi_runtime.journal.contract import Draft
from muxi_runtime.store.times import utc_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from muxi_runtime.gateway.labels import Reasons
    from muxi_runtime.gateway.task import Lift, Task
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
        for label in reasons:
            task.lifted.pop(label, None)
            if label in task.labels:
                task.labels[label].seen = new_sight()
        if all(label in task.labels and task.labels[label].is_told for label in reasons):
            return
        async with task.labelling:
            for label, why in reasons.items():
                mark = task.labels.setdefault(label, Mark(why, source, call, utc_text(datetime.now(UTC))))
                if not mark.is_told:
                    await self._tell_labelled(task, label, mark)

    async def lift(self, task: Task, label: str, lift: Lift) -> None:
        """Take a label off, as a person has allowed. `lift.mark` is the task's mark of it.

        A call that still runs labels the task again with what it brings.

        Raises:
            RefusedError: the task has seen such content meanwhile; the label stays.
            JournalError: it could not be journalled; the label stays.
        """
        async with task.labelling:
            mark = lift.mark
            if task.labels.get(label) is not mark:
                raise RefusedError(f"Task {task.id} does not have the label {label[:40]!r} that this is about.")
            if mark.seen != lift.seen:
                raise _seen_meanwhile(task, label)
            data = {"label": label, "reason": lift.reason[:500], "source": mark.source[:500], "why": mark.why}
            facts = {**data, "approval": lift.approval, "by": lift.by, "until": lift.until}
            await self._journal.append(
                Draft("task.declassified", principal=str(task.principal), task=task.id, data=facts)
            )
            if mark.seen != lift.seen:
                await self._tell_labelled(task, label, mark)
                raise _seen_meanwhile(task, label)
            del task.labels[label]
            task.lifted[label] = lift
            await self._write(task)

    async def put_back(self, task: Task, label: str, approval: str, why: str) -> None:
        """A label that was off by this approval is on again; so is one of which nobody knows by what it is off.

        Raises:
            JournalError: it could not be journalled; the label is on.
        """
        async with task.labelling:
            lift = task.lifted.get(label)
            if label in task.labels or (lift is not None and lift.approval != approval):
                return
            source, before = (lift.mark.source, lift.mark.why) if lift else (approval, "not known any more")
            mark = Mark(f"{why}; before: {before}", source, "", utc_text(datetime.now(UTC)))
            task.labels[label] = mark
            task.lifted.pop(label, None)
            await self._tell_labelled(task, label, mark)

    async def _tell_labelled(self, task: Task, label: str, mark: Mark) -> None:
        await self._write(task)
        data = {"label": label, "source": mark.source[:500], "why": mark.why}
        await self._journal.append(
            Draft("task.labelled", principal=str(task.principal), task=task.id, call=mark.call or None, data=data)
        )
        mark.is_told = True

    async def _write(self, task: Task) -> None:
        if task.kept:
            await to_thread.run_sync(partial(self._save, task))


def _seen_meanwhile(task: Task, label: str) -> RefusedError:
    return RefusedError(f"Task {task.id} saw such content at this moment, and keeps the label {label}.")
