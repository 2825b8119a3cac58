"""What the gateway keeps of clients that do not come back is bounded, and what is in use is kept."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from muxi_runtime.gateway import front as front_module
from muxi_runtime.gateway import mcp_caller
from muxi_runtime.gateway.front import Front
from muxi_runtime.gateway.mcp_caller import PendingQuestions
from muxi_runtime.gateway.offers import OfferBook
from muxi_runtime.gateway.request_facts import SESSION_HEADER
from muxi_runtime.gateway.tools import ToolBook

NOBODY: Any = object()
"""Stands for the door: nothing is called here."""


@dataclass
class Message:
    """What the front looks at of a client's message."""

    number: int
    protocol_version: str = "2025-11-25"
    session: object = field(default_factory=object)

    @property
    def request(self) -> Any:
        return self

    @property
    def headers(self) -> dict[str, str]:
        return {SESSION_HEADER: f"s-{self.number}"}


async def told(front: Front, *messages: Message) -> None:
    async def nothing_more(_message: Any) -> dict[str, Any]:
        return {}

    for message in messages:
        await front._remember_session(message, nothing_more)  # type: ignore[arg-type]  # noqa: SLF001
        front.levels[f"s-{message.number}"] = "debug"


async def test_sessions_that_end_without_a_word_are_bounded_and_the_one_longest_unused_goes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(front_module, "MAX_SESSIONS", 3)
    front = Front(door=NOBODY, tools=ToolBook(), offers=OfferBook(), question_seconds=60)
    await told(front, *map(Message, range(3)))
    front.used_session("s-0")
    await told(front, Message(3))
    assert list(front.sessions) == ["s-2", "s-0", "s-3"]
    await told(front, Message(2), Message(4), Message(5))
    assert list(front.sessions) == ["s-2", "s-4", "s-5"]
    assert front.levels.keys() == front.sessions.keys()


async def test_a_session_named_in_the_modern_era_is_nobody_s() -> None:
    front = Front(door=NOBODY, tools=ToolBook(), offers=OfferBook(), question_seconds=60)
    message = Message(1, protocol_version="2026-07-28")
    await told(front, message)
    assert not front.sessions


async def test_questions_that_nobody_answers_are_bounded_and_the_newest_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mcp_caller, "MAX_PENDING", 3)
    pending = PendingQuestions(60)
    handles = [pending.put("mark", f"a-{number}") for number in range(5)]
    assert [pending.approval(handle) for handle in handles] == ["", "", "a-2", "a-3", "a-4"]
    assert pending.take(handles[0], "mark") == ""
    assert pending.take(handles[4], "mark") == "a-4"


def test_what_has_expired_makes_room_before_what_has_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mcp_caller, "MAX_PENDING", 3)
    pending = PendingQuestions(60)
    kept = pending.put("mark", "a-kept")
    pending.seconds = -1
    for number in range(2):
        pending.put("mark", f"a-{number}")
    pending.seconds = 60
    pending.put("mark", "a-new")
    assert pending.approval(kept) == "a-kept"
