"""Taking a label off a task: only by an approval that an operator grants, for an hour or until the task ends.

    ask     a person of the task's asks, with a reason; an operator who asks answers at once
    begin   the yes counts: the label is off, if the task has seen nothing of the kind since it was asked
    end     the time is over, or the yes was taken back: the label is on again

What the task sees afterwards labels it again, and the yes allows no more. Above: `label_routes`, and `approval_desk`,
which calls `begin` and `end`. Below: `task_labels`.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from muxi_runtime.errors import RefusedError
from muxi_runtime.gateway.json_limits import printable
from muxi_runtime.gateway.task import Lift
from muxi_runtime.identity.access import may
from muxi_runtime.identity.roles import Action
from muxi_runtime.policy.approvals import Approval, Scope, Wanted

if TYPE_CHECKING:
    from collections.abc import Callable

    from muxi_runtime.catalog.labels import Label
    from muxi_runtime.gateway.task import Task
    from muxi_runtime.gateway.task_labels import TaskLabels
    from muxi_runtime.identity.principal import Principal
    from muxi_runtime.policy.approval_desk import Approvals

__all__ = ["Declassifying"]

MAX_REASON = 500


class Declassifying:
    """What a yes to `declassify` does: the `Lifting` of the desk."""

    def __init__(self, approvals: Approvals, labels: TaskLabels, find: Callable[[str], Task | None]) -> None:
        """`find` gives the open task of an id."""
        self._approvals = approvals
        self._labels = labels
        self._find = find
        approvals.lifting = self

    async def ask(self, task: Task, label: Label, *, reason: str, by: Principal, scope: Scope) -> Approval:
        """The approval as it is now: it waits, or it is allowed where `by` may allow it.

        Raises:
            RefusedError: the task does not have the label, or too many questions wait.
            JournalError: it could not be journalled; the label stays.
        """
        approval = await self._approvals.request(_wanted(task, label, reason, by))
        if not may(by, Action.ALL_APPROVALS):
            return approval
        return await self._approvals.answer(approval.id, by, allow=True, scope=scope, how="control", note=reason)

    def check(self, approval: Approval) -> None:
        """Whether a yes would still be one to what was asked.

        Raises:
            RefusedError: it would not.
        """
        task = self._find(approval.wanted.task)
        if task is None or _fingerprint(task, approval.wanted.tool) != approval.wanted.fingerprint:
            raise _changed(approval)

    async def begin(self, approval: Approval) -> None:
        """Take the label off, as was allowed.

        Raises:
            RefusedError: the task is over, or has seen such content since it was asked.
            JournalError: it could not be journalled; the label stays.
        """
        # Nothing is awaited between the check and where `seen` is taken: what comes later is not what the yes is to.
        self.check(approval)
        wanted, task = approval.wanted, self._find(approval.wanted.task)
        if task is None:
            raise _changed(approval)
        mark = task.labels[wanted.tool]
        lift = Lift(mark, mark.seen, approval.id, approval.answered_by, wanted.shown, approval.expires_at)
        await self._labels.lift(task, wanted.tool, lift)

    async def end(self, approval: Approval, why: str) -> None:
        """Put the label on again; nothing happens where the task has it, or is over.

        Raises:
            JournalError: it could not be journalled; the label is on.
        """
        task = self._find(approval.wanted.task)
        if task is not None:
            await self._labels.put_back(task, approval.wanted.tool, approval.id, why)

    def holds(self, approval: Approval) -> bool:
        """Whether the label is off by this."""
        task = self._find(approval.wanted.task)
        lift = task.lifted.get(approval.wanted.tool) if task else None
        return lift is not None and lift.approval == approval.id


def _wanted(task: Task, label: Label, reason: str, by: Principal) -> Wanted:
    mark = task.labels.get(label)
    if mark is None:
        has = ", ".join(sorted(task.labels)) or "none"
        raise RefusedError(f"Task {task.id} has no label {label.value!r}; it has: {has}.")
    return Wanted(
        kind="declassify",
        principal=by,
        task=task.id,
        place=task.id,
        title=f"taking the label {label.value} off {task.id}",
        server="",
        tool=label.value,
        pin=task.id,
        fingerprint=_fingerprint(task, label),
        shown=printable(reason, MAX_REASON),
        rules=(),
        reason=printable(f"The label was set by {mark.source}: {mark.why}.", MAX_REASON),
    )


def _fingerprint(task: Task, label: str) -> str:
    """Of what the task has seen: its labels, and the last time that something brought this one."""
    mark = task.labels.get(label)
    facts = [task.id, label, mark.seen if mark else "", sorted(task.labels)]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def _changed(approval: Approval) -> RefusedError:
    return RefusedError(
        f"{approval.id} is about what {approval.wanted.task} had seen when it was asked, and that has changed.",
        remedy="Look at `muxi-runtime tasks show`, then ask anew: `muxi-runtime tasks declassify`.",
    )
