"""What an approval covers, and that nothing is allowed when the table or the journal fails."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muxi_runtime.errors import ForbiddenError, JournalError, RefusedError, UnknownApprovalError
from muxi_runtime.identity.principal import LOCAL, Principal
from muxi_runtime.identity.roles import Role
from muxi_runtime.journal.memory import MemoryJournal
from muxi_runtime.policy.approval_desk import KEPT_DAYS, MAX_WAITING, Approvals
from muxi_runtime.policy.approval_store import ApprovalStore
from muxi_runtime.policy.approvals import Approval, Scope, State, Wanted, covers, may_answer
from muxi_runtime.store.engine import open_store
from muxi_runtime.store.times import utc_text

ADA, BOB = Principal("ada", "k1"), Principal("bob", "k2")
NOW = "2030-01-01T12:00:00.000000Z"
LATER = "2030-01-01T13:00:00.000000Z"
WANTED = Wanted(
    kind="call",
    principal=ADA,
    task="t-1",
    place="client claude",
    title="mail__send",
    server="mail",
    tool="send",
    pin="p1",
    fingerprint="f1",
    shown='{"to": "bob"}',
    rules=("ask-a", "ask-b"),
    reason="It leaves.",
    call="c-1",
)
OTHERS: dict[str, Any] = {
    "kind": "connect",
    "principal": BOB,
    "task": "t-2",
    "place": "client cursor",
    "server": "post",
    "tool": "drop",
    "pin": "p2",
    "fingerprint": "f2",
    "rules": ("ask-a",),
    "wording": "w2",
}
LOOSE = {
    Scope.ONCE: set[str](),
    Scope.TASK: {"place", "fingerprint"},
    Scope.HOUR: {"place", "fingerprint", "task"},
}
"""What may differ from what was asked, by scope. Titles, texts and the call's id never matter."""


def allowed(scope: Scope, **changes: Any) -> Approval:
    return replace(Approval("a-1", WANTED, State.ALLOWED, NOW, LATER, scope=scope), **changes)


@given(scope=st.sampled_from(Scope), changed=st.sets(st.sampled_from(sorted(OTHERS))))
def test_a_yes_covers_what_its_scope_says_and_nothing_else(scope: Scope, changed: set[str]) -> None:
    wanted = replace(WANTED, call="c-2", title="x", shown="y", reason="z", **{name: OTHERS[name] for name in changed})
    assert covers(allowed(scope), wanted, NOW, lambda _task: True) is (changed <= LOOSE[scope])


@given(scope=st.sampled_from(Scope), state=st.sampled_from(State), over=st.booleans())
def test_only_what_is_allowed_and_not_over_covers_anything(scope: Scope, state: State, *, over: bool) -> None:
    approval = allowed(scope, state=state, expires_at=NOW if over else LATER)
    assert covers(approval, WANTED, NOW, lambda _task: True) is (state is State.ALLOWED and not over)


def test_the_order_of_rules_does_not_matter() -> None:
    assert covers(allowed(Scope.ONCE), replace(WANTED, rules=("ask-b", "ask-a")), NOW, lambda _task: True)


def test_another_key_of_the_user_has_the_hour_and_nothing_less() -> None:
    wanted = replace(WANTED, principal=Principal("ada", "k9"))
    found = [scope for scope in Scope if covers(allowed(scope), wanted, NOW, lambda _task: True)]
    assert found == [Scope.HOUR]


def test_a_task_that_ended_is_stood_for_by_the_next_of_its_place_for_once_alone() -> None:
    wanted = replace(WANTED, task="t-2")
    gone: Callable[[str], bool] = {"t-2"}.__contains__
    assert [scope for scope in Scope if covers(allowed(scope), wanted, NOW, gone)] == [Scope.ONCE, Scope.HOUR]


def test_where_there_is_no_task_nothing_is_allowed_for_one() -> None:
    nowhere = replace(WANTED, task="", place="")
    assert not covers(allowed(Scope.TASK, wanted=nowhere), nowhere, NOW, bool)


@pytest.mark.parametrize(
    ("principal", "may"),
    [
        (ADA, True),
        (Principal("ada", "k9"), True),
        (Principal("ada", "k9", scopes=frozenset({"call:mail.send"})), True),
        (Principal("ada", "k9", scopes=frozenset({"call:mail.read"})), False),
        (Principal("ada", "k9", scopes=frozenset({"read"})), False),
        (Principal("ada", "k9", Role.SERVICE), False),
        (LOCAL, True),
        (Principal("eve", "k", Role.OPERATOR), True),
        (Principal("eve", "k", Role.OPERATOR, scopes=frozenset({"call"})), False),
        (Principal("eve", "k", Role.AUDITOR), False),
        (BOB, False),
        (Principal("local", "k"), False),
    ],
)
def test_the_user_and_operators_may_answer_as_far_as_their_keys_go(principal: Principal, *, may: bool) -> None:
    assert may_answer(principal, allowed(Scope.ONCE)) is may


async def test_who_may_see_it_only_is_told_so(approvals: Approvals) -> None:
    approval = await approvals.request(WANTED)
    with pytest.raises(ForbiddenError):
        await approvals.answer(approval.id, replace(ADA, role=Role.SERVICE), allow=True, how="control")


@pytest.fixture
def journal() -> MemoryJournal:
    return MemoryJournal()


@pytest.fixture
def store(tmp_path: Path) -> Any:
    engine = open_store(tmp_path)
    yield ApprovalStore(engine)
    engine.dispose()


@pytest.fixture
async def approvals(store: ApprovalStore, journal: MemoryJournal) -> AsyncIterator[Approvals]:
    async with journal:
        yield Approvals(store, journal, seconds=60)


def fail(journal: MemoryJournal) -> None:
    journal.failure = JournalError("the disk is full")


async def say(approvals: Approvals, approval: Approval, *, allow: bool = True, **more: Any) -> Approval:
    return await approvals.answer(approval.id, ADA, allow=allow, how="control", **more)


async def test_a_question_comes_back_as_it_was_asked(approvals: Approvals, store: ApprovalStore) -> None:
    made = await approvals.request(WANTED)
    assert store.get(made.id) == made
    assert made.wanted == WANTED


async def test_one_that_waits_is_joined_unless_somebody_attends_to_it(approvals: Approvals) -> None:
    first = await approvals.request(WANTED)
    async with approvals.attended(replace(WANTED, call="c-2")) as joined, approvals.attended(WANTED) as other:
        assert joined.id == first.id
        assert other.id != first.id
    assert (await approvals.request(replace(WANTED, task="t-2"))).id not in (first.id, other.id)


async def test_a_yes_for_once_is_kept_for_who_waits_for_it(approvals: Approvals) -> None:
    async with approvals.attended(WANTED) as mine:
        await say(approvals, mine)
        assert await approvals.use(WANTED) is None
        used = await approvals.use(WANTED, mine.id)
        assert used is not None
        assert used.id == mine.id
    assert await approvals.use(WANTED) is None


async def test_what_is_not_used_up_is_used_first(approvals: Approvals) -> None:
    hour, once = await approvals.request(replace(WANTED, fingerprint="f9")), await approvals.request(WANTED)
    await say(approvals, once)
    await say(approvals, hour, scope=Scope.HOUR)
    for _ in range(2):
        used = await approvals.use(WANTED)
        assert used is not None
        assert used.id == hour.id


@pytest.mark.promise("approvals-are-bound")
async def test_a_question_that_cannot_be_journalled_is_not_asked(
    approvals: Approvals, journal: MemoryJournal, store: ApprovalStore
) -> None:
    fail(journal)
    with pytest.raises(JournalError):
        await approvals.request(WANTED)
    assert store.all() == []


@pytest.mark.promise("approvals-are-bound")
async def test_an_answer_that_cannot_be_journalled_does_not_count(
    approvals: Approvals, journal: MemoryJournal, store: ApprovalStore
) -> None:
    approval = await approvals.request(WANTED)
    fail(journal)
    with pytest.raises(JournalError):
        await say(approvals, approval)
    assert [one.state for one in store.all()] == [State.WAITING]


@pytest.mark.promise("approvals-are-bound")
async def test_a_use_that_cannot_be_journalled_is_used_up_and_allows_nothing(
    approvals: Approvals, journal: MemoryJournal
) -> None:
    await say(approvals, await approvals.request(WANTED))
    fail(journal)
    with pytest.raises(JournalError):
        await approvals.use(WANTED)
    journal.failure = None
    assert await approvals.use(WANTED) is None


async def test_two_runtimes_on_one_database_use_it_once(store: ApprovalStore, approvals: Approvals) -> None:
    approval = await approvals.request(WANTED)
    await say(approvals, approval)
    assert store.change(approval.id, State.ALLOWED, state=State.USED)
    assert not store.change(approval.id, State.ALLOWED, state=State.USED)
    assert await approvals.use(WANTED) is None


async def test_no_more_questions_wait_for_one_user_than_somebody_can_look_at(approvals: Approvals) -> None:
    for number in range(MAX_WAITING):
        await approvals.request(replace(WANTED, fingerprint=f"f{number}"))
    with pytest.raises(RefusedError, match="wait for an answer already"):
        await approvals.request(replace(WANTED, fingerprint="one more"))
    await approvals.request(replace(WANTED, principal=BOB))


async def test_somebody_else_s_is_told_from_none_by_nothing(approvals: Approvals) -> None:
    approval = await approvals.request(WANTED)
    told = []
    for name in (approval.id, "a-none"):
        with pytest.raises(UnknownApprovalError) as refusal:
            await approvals.answer(name, BOB, allow=True, how="control")
        told.append(str(refusal.value).replace(name, "NAME"))
    assert told[0] == told[1]


async def test_what_is_over_is_noted_once_and_forgotten_in_the_end(
    approvals: Approvals, store: ApprovalStore, journal: MemoryJournal
) -> None:
    long_ago = utc_text(datetime.now(UTC) - timedelta(days=KEPT_DAYS + 1))
    store.add(Approval("a-old", WANTED, State.WAITING, long_ago, long_ago))
    store.add(Approval("a-denied", WANTED, State.DENIED, long_ago, long_ago))
    await say(approvals, await approvals.request(WANTED), scope=Scope.TASK)
    approvals.is_open = {"t-9"}.__contains__
    await approvals.end_expired()
    await approvals.end_expired()
    ended = [event.data["why"] for event in journal.events if event.kind == "approval.expired"]
    assert ended == ["its time was over", "its task is over"]
    assert [(one.state, one.scope) for one in store.all()] == [(State.EXPIRED, Scope.TASK)]


async def test_whoever_waits_wakes_when_another_answer_covers_it(approvals: Approvals) -> None:
    async with approvals.attended(WANTED) as mine, approvals.attended(replace(WANTED, fingerprint="f2")) as other:
        async with anyio.create_task_group() as group:
            group.start_soon(approvals.wait, mine)
            await say(approvals, other, scope=Scope.HOUR)
        used = await approvals.use(WANTED, mine.id)
        assert used is not None
        assert used.id == other.id


async def test_connections_are_asked_and_used_alike(approvals: Approvals) -> None:
    wanted = replace(WANTED, kind="connect", tool="example.org:443", pin="connect")
    await say(approvals, await approvals.request(wanted))
    assert await approvals.use(WANTED) is None
    assert await approvals.use(wanted) is not None
    assert await approvals.use(wanted) is None
