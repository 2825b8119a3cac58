"""Rules are looked at for as long as the runtime runs, whatever is done to their files meanwhile."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from muxi_runtime.errors import JournalError
from muxi_runtime.gateway import policy_watch
from muxi_runtime.gateway.policy_watch import PolicyWatch
from muxi_runtime.identity.principal import Principal
from muxi_runtime.journal.contract import Draft, Event
from muxi_runtime.journal.memory import MemoryJournal
from muxi_runtime.policy.contract import Effect, ToolCall
from muxi_runtime.policy.live import LivePolicy
from muxi_runtime.policy.settings import PolicySettings

pytestmark = pytest.mark.anyio

ALL = '@id("all") permit (principal, action == Action::"call_tool", resource);'
NONE = '@id("none") forbid (principal, action == Action::"call_tool", resource);'
CALL = ToolCall(Principal("ada"), "demo", "add", "t-1")


class WatchedJournal(MemoryJournal):
    """Says when an event could not be kept."""

    def __init__(self) -> None:
        super().__init__()
        self.failed = anyio.Event()

    async def append(self, draft: Draft) -> Event:
        try:
            return await super().append(draft)
        except JournalError:
            self.failed.set()
            raise


class Scene:
    def __init__(self, rules: Path, policy: LivePolicy, journal: WatchedJournal) -> None:
        self.rules, self.policy, self.journal = rules, policy, journal

    @property
    def effect(self) -> Effect:
        return self.policy.decide(CALL).effect

    async def told(self, events: AsyncIterator[Event], kind: str) -> Event:
        with anyio.fail_after(20):
            async for event in events:
                if event.kind == kind:
                    return event
        pytest.fail("the journal ended")


@pytest.fixture
async def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Scene]:
    monkeypatch.setattr(policy_watch, "LOOK_SECONDS", 0.01)
    async with watched(tmp_path) as made:
        yield made


@asynccontextmanager
async def watched(folder: Path) -> AsyncIterator[Scene]:
    rules = folder / "rules.cedar"
    rules.write_text(ALL)
    policy = LivePolicy(lambda: PolicySettings(files=(rules,)))
    async with WatchedJournal() as journal, anyio.create_task_group() as group:
        group.start_soon(PolicyWatch(policy, journal, folder / "muxi.yaml").run)
        await anyio.wait_all_tasks_blocked()
        yield Scene(rules, policy, journal)
        group.cancel_scope.cancel()


@pytest.mark.parametrize("broken", [b"permit (principal", b"\xff\xfe", None])
async def test_a_file_that_breaks_or_vanishes_changes_nothing_and_is_taken_when_it_is_right_again(
    scene: Scene, broken: bytes | None
) -> None:
    async with scene.journal.listen() as events:
        if broken is None:
            scene.rules.unlink()
        else:
            scene.rules.write_bytes(broken)
        refused = await scene.told(events, "policy.refused")
        assert "rules.cedar" in refused.data["message"]
        assert scene.effect is Effect.ALLOW
        scene.rules.write_text(ALL + NONE)
        await scene.told(events, "policy.loaded")
        assert scene.effect is Effect.DENY


async def test_a_journal_that_fails_does_not_end_the_watching(scene: Scene) -> None:
    scene.journal.failure = JournalError("the disk is full")
    scene.rules.write_text("permit (principal")
    with anyio.fail_after(20):
        await scene.journal.failed.wait()
    async with scene.journal.listen() as events:
        scene.journal.failure = None
        scene.rules.write_text(ALL + NONE)
        await scene.told(events, "policy.loaded")
        assert scene.effect is Effect.DENY
