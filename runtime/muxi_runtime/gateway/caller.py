"""Who makes a call and how they can be reached while it runs: the seam between a front and the one door.

Above the door: `front.McpCaller` (MCP clients of either era). A front turns its protocol into a `Caller`; the door
knows no protocol.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from muxi_runtime.identity.principal import Principal

__all__ = ["Answer", "CallRequest", "Caller", "Origin", "Question"]


@dataclass(frozen=True, slots=True)
class Origin:
    """What a call says about the task it belongs to, strongest first.

    Attributes:
        task: a task named by the caller (`_meta["muxi/task"]` or the `Muxi-Task` header).
        session: the id of the legacy session.
        client: the client's name for itself; with the key it selects the default task. Not trusted for anything else.
    """

    task: str | None = None
    session: str | None = None
    client: str = ""


@dataclass(frozen=True, slots=True)
class CallRequest:
    """One tool call as a caller asks for it."""

    server: str
    tool: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    origin: Origin = field(default_factory=Origin)


@dataclass(frozen=True, slots=True)
class Question:
    """What a person is asked before a call.

    Attributes:
        text: plain text, control characters removed.
        fingerprint: SHA-256 over the tool's pin and the arguments: an answer counts for exactly these.
    """

    text: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    allowed: bool
    detail: str = ""


class Caller(Protocol):
    """The other end of a call."""

    @property
    def principal(self) -> Principal:
        """Who calls."""

    async def ask(self, question: Question) -> Answer | None:
        """A person's answer; `None` if the caller cannot ask one.

        A front whose protocol answers by repeating the call raises its own exception here, which the door lets through.
        """

    @property
    def wants_progress(self) -> bool:
        """Whether the caller asked for it."""

    async def progress(self, progress: float, total: float | None, message: str | None) -> None:
        """Forward progress to a caller who asked for it."""
