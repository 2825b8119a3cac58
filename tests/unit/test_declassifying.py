"""A label comes off a task by an operator's yes to what the task had seen, and is on again when that is over."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from muxi_runtime.catalog.labels import Label
from muxi_runtime.errors import ForbiddenError, JournalError, RefusedError
from muxi_runtime.gateway.declassifying import Declassifying
from muxi_runtime.gateway.task import Task
from muxi_runtime.gateway.task_labels import TaskLabels
from muxi_runtime.identity.principal import Principal
from muxi_runtime.identity.roles import Role
from muxi_runtime.journal.contract import Draft, Event
from muxi_runtime.journal.memory import MemoryJournal
from muxi_runtime.policy.approval_desk import Approvals
from muxi_runtime.policy.approval_store import ApprovalStore
from muxi_runtime.policy.approvals import Approval, Scope, State
from muxi_runtime.store.engine import open_store

pytestmark = pytest.mark.promise("labels-come-off-by-an-operator")

ADA = Principal("ada", "k1", Role.USER)
OLGA = Principal("olga", "k2", Role.OPERATOR)
LONG_AGO = "2020-01-01T00:00:00.000000Z"


class LateJournal(MemoryJournal):
    """Something happens, once, before an event of one kind is in the journal."""

    def __init__(self, journal: MemoryJournal) -> None:
        super().__init__()
        self.journal = journal
        self.kind = ""
        self.happens: Callable[[], Awaitable[None]] | None = None

    async def append(self, draft: Draft) -> Event:
        happens, self.happens = (self.happens, None) if draft.kind == self.kind else (None, self.happens)
        if happens is not None:
            await happens()
        return await self.journal.append(draft)


class Scene:
    """One labelled task, and what takes labels off."""

    def __init__(self, store: ApprovalStore, journal: MemoryJournal) -> None:
        self.store, self.journal = store, journal
        self.task = Task("t-1", ADA, None, "cli", time.time(), time.monotonic(), kept=True)
        self.saved: list[set[str]] = []
        self.approvals = Approvals(store, journal, seconds=60)
        self.approvals.is_open = lambda task: task == self.task.id
        self.before = LateJournal(journal)
        self.labels = TaskLabels(self.before, lambda task: self.saved.append({*task.labels, *task.lifted}))
        self.declassifying = Declassifying(self.approvals, self.labels, {self.task.id: self.task}.get)

    async def see(self, label: Label = Label.PRIVATE) -> None:
        await self.labels.add(self.task, {label: "customers"}, source="crm.list", call="c-1")

    async def ask(self, by: Principal = ADA, scope: Scope = Scope.HOUR) -> Approval:
        return await self.declassifying.ask(self.task, Label.PRIVATE, reason="made up", by=by, scope=scope)

    async def say_yes(self, approval: Approval, by: Principal = OLGA, scope: Scope = Scope.ONCE) -> Approval:
        return await self.approvals.answer(approval.id, by, allow=True, scope=scope, how="control")

    def kinds(self) -> list[str]:
        return [event.kind for event in self.journal.events]

    def state(self, approval: Approval) -> State:
        found = self.store.get(approval.id)
        assert found is not None
        return found.state


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Scene]:
    engine = open_store(folder)
    try:
        async with MemoryJournal() as journal:
            yield Scene(ApprovalStore(engine), journal)
    finally:
        engine.dispose()


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with opened(tmp_path) as made:
        await made.see()
        yield made


async def test_an_operator_asks_and_answers_at_once(scene: Scene) -> None:
    approval = await scene.ask(OLGA, Scope.TASK)
    assert (approval.state, approval.scope, approval.expires_at) == (State.ALLOWED, Scope.TASK, None)
    assert scene.task.labels == {}
    assert scene.kinds()[-3:] == ["approval.requested", "approval.answered", "task.declassified"]


async def test_a_user_s_request_waits_for_an_operator(scene: Scene) -> None:
    approval = await scene.ask()
    assert approval.state is State.WAITING
    with pytest.raises(ForbiddenError):
        await scene.say_yes(approval, ADA)
    assert set(scene.task.labels) == {"private"}
    allowed = await scene.say_yes(approval)
    assert scene.task.labels == {}
    assert (allowed.scope, allowed.expires_at is None) == (Scope.HOUR, False)


@pytest.mark.parametrize("label", [Label.PRIVATE, Label.UNTRUSTED])
async def test_a_yes_is_to_what_the_task_had_seen_when_it_was_asked(scene: Scene, label: Label) -> None:
    approval = await scene.ask()
    await scene.see(label)
    with pytest.raises(RefusedError, match="has changed"):
        await scene.say_yes(approval)
    assert "private" in scene.task.labels
    assert scene.state(approval) is State.WAITING
    assert (await scene.ask()).id != approval.id


async def test_content_that_comes_while_it_is_taken_off_labels_the_task(scene: Scene) -> None:
    approval = await scene.ask()
    scene.before.kind, scene.before.happens = "task.declassified", scene.see
    with pytest.raises(RefusedError, match="at this moment"):
        await scene.say_yes(approval)
    assert scene.before.happens is None
    assert set(scene.task.labels) == {"private"}
    assert scene.state(approval) is State.EXPIRED


async def test_content_that_comes_while_a_yes_waits_for_another_label_keeps_the_label(scene: Scene) -> None:
    journalling, go_on = anyio.Event(), anyio.Event()

    async def hold() -> None:
        journalling.set()
        await go_on.wait()

    async def say_yes() -> None:
        with pytest.raises(RefusedError, match="at this moment"):
            await scene.ask(OLGA)

    scene.before.kind, scene.before.happens = "task.labelled", hold
    async with anyio.create_task_group() as group:
        group.start_soon(scene.see, Label.UNTRUSTED)
        await journalling.wait()
        group.start_soon(say_yes)
        while not scene.task.labelling.statistics().tasks_waiting:
            await anyio.lowlevel.checkpoint()
        await scene.see()
        go_on.set()
    assert set(scene.task.labels) == {"private", "untrusted"}
    assert "task.declassified" not in scene.kinds()


async def test_new_content_labels_again_and_ends_the_yes(scene: Scene) -> None:
    approval = await scene.ask(OLGA)
    await scene.see()
    assert set(scene.task.labels) == {"private"}
    await scene.approvals.end_expired()
    assert scene.state(approval) is State.EXPIRED
    assert (set(scene.task.labels), scene.task.lifted) == ({"private"}, {})


async def test_the_label_is_on_again_when_the_time_is_over(scene: Scene) -> None:
    approval = await scene.ask(OLGA)
    await scene.approvals.end_expired()
    assert scene.task.labels == {}
    scene.store.change(approval.id, State.ALLOWED, expires_at=LONG_AGO)
    await scene.approvals.end_expired()
    assert set(scene.task.labels) == {"private"}
    assert scene.kinds()[-2:] == ["task.labelled", "approval.expired"]


async def test_the_label_is_on_again_when_the_yes_is_taken_back(scene: Scene) -> None:
    approval = await scene.ask(OLGA)
    await scene.approvals.revoke(approval.id, OLGA)
    assert set(scene.task.labels) == {"private"}
    assert scene.state(approval) is State.DENIED


async def test_an_old_yes_does_not_end_a_newer_one(scene: Scene) -> None:
    old = await scene.ask(OLGA)
    await scene.see()
    new = await scene.ask(OLGA)
    await scene.approvals.end_expired()
    assert (scene.state(old), scene.state(new)) == (State.EXPIRED, State.ALLOWED)
    assert scene.task.labels == {}


@pytest.mark.parametrize("before", ["asked", "answered"])
async def test_what_cannot_be_journalled_takes_nothing_off(scene: Scene, before: str) -> None:
    approval = await scene.ask() if before == "answered" else None
    scene.journal.failure = JournalError("the disk is full")
    with pytest.raises(JournalError):
        await (scene.say_yes(approval) if approval else scene.ask(OLGA))
    assert set(scene.task.labels) == {"private"}


async def test_a_label_is_on_again_although_that_cannot_be_journalled(scene: Scene) -> None:
    approval = await scene.ask(OLGA)
    scene.journal.failure = JournalError("the disk is full")
    with pytest.raises(JournalError):
        await scene.approvals.revoke(approval.id, OLGA)
    assert set(scene.task.labels) == {"private"}


async def test_a_kept_task_is_written_with_the_label_that_is_off(scene: Scene) -> None:
    await scene.ask(OLGA)
    assert scene.saved[-1] == {"private"}


async def test_a_yes_of_an_earlier_runtime_takes_nothing_off_in_this_one(scene: Scene) -> None:
    approval = await scene.ask(OLGA, Scope.TASK)
    scene.task.lifted.clear()  # what a restart forgets
    await scene.approvals.end_expired()
    assert scene.state(approval) is State.EXPIRED
    assert set(scene.task.labels) == {"private"}


async def test_what_a_task_does_not_have_is_not_asked_about(scene: Scene) -> None:
    with pytest.raises(RefusedError, match="it has: private"):
        await scene.declassifying.ask(scene.task, Label.UNTRUSTED, reason="x", by=OLGA, scope=Scope.HOUR)
