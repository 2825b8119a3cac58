"""Who makes a call and how they can be reached while it runs: the seam between a front and the one door.

Above the door: `front.McpCaller` (MCP clients of either era). A front turns its protocol into a `Caller`; the door
knows no protocol.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from muxi_runtime.identity.principal import Principal

__all__ = ["ASKABLE", "Answer", "CallRequest", "Caller", "Inputs", "Origin", "Question"]

ASKABLE: Mapping[str, str] = {
    "elicitation/create": "elicitation",
    "sampling/createMessage": "sampling",
    "roots/list": "roots",
}
"""What a server may ask of a client, and the capability that the client declares for it."""


@dataclass(frozen=True, slots=True)
class Origin:
    """What a call says about the task it belongs to, strongest first.

    Attributes:
        task: a task named by the caller (`_meta["muxi/task"]` or the `Muxi-Task` header).
        session: the id of the legacy session.
        client: the client's name for itself; with the key it selects the default task. Not trusted for anything else.
        words: what the client says that its user wrote; believed of few (see `words`).
    """

    task: str | None = None
    session: str | None = None
    client: str = ""
    words: str = ""


@dataclass(frozen=True, slots=True)
class CallRequest:
    """One tool call, or one of the requests beside tools, as a caller asks for it.

    Attributes:
        tool: the tool's name; of the others, what they are about: a resource's URI, or a prompt's name.
        method: `tools/call`, `resources/read`, `prompts/get`, `completion/complete`, `resources/subscribe` or
            `resources/unsubscribe`.
        params: what the others carry beside that, as on the wire.
    """

    server: str
    tool: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    origin: Origin = field(default_factory=Origin)
    method: str = "tools/call"
    params: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a caller brought along: answers to what a server asked of it the last time, by the server's own keys."""

    responses: Mapping[str, Any] = field(default_factory=dict)
    state: str | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """What a person is asked before a call.

    Attributes:
        text: plain text, control characters removed.
        mark: SHA-256 over all that is asked about: an answer counts for exactly this (see `approvals.Wanted`).
        approval: the id of the approval that an answer decides.
        scopes: what a yes may be for, the narrowest first.
    """

    text: str
    mark: str
    approval: str
    scopes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back.

    Attributes:
        scope: what a yes is for: one of the question's.
        by_person: false where nobody answered in time, or the client failed to ask.
    """

    allowed: bool
    detail: str = ""
    scope: str = "once"
    by_person: bool = True


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
    def asked(self) -> str:
        """The approval that it comes back for, after it was asked before; empty if it was not."""

    @property
    def brought_answer(self) -> bool:
        """Whether it brings a person's answer along."""

    def permitted(self, mark: str, approval: str) -> None:
        """A person has allowed this call: for `resumes`, should it have to come back in the middle of it."""

    def resumes(self, mark: str) -> str:
        """The approval by which this very call was begun before, where it comes back in the middle; else empty."""

    @property
    def wants_progress(self) -> bool:
        """Whether the caller asked for it."""

    @property
    def capabilities(self) -> Mapping[str, Any]:
        """What the caller declares that it can do, as JSON values: a modern server reads it with each request."""

    @property
    def log_level(self) -> str | None:
        """From which level on it wants a server's log messages; `None`: none at all."""

    @property
    def inputs(self) -> Inputs:
        """What it brought along for the server."""

    async def answers(self, requests: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any]:
        """Have it answer what a server asks (`method`, `params`; see `ASKABLE`), all at once; by the same keys.

        Raises:
            ForwardedError: it refused, or cannot be asked.
        """

    def hand_over(self, requests: Mapping[str, Any], state: str | None) -> bool:
        """Leave it to the caller to come back with answers, where its protocol works like that.

        Raises an exception of the front's own then, as `ask` does; false means that it has to be asked by `answers`.
        """

    async def notify(self, method: str, params: Mapping[str, Any]) -> None:
        """Pass on a notification that belongs to the call: a log message, for instance."""

    async def progress(self, progress: float, total: float | None, message: str | None) -> None:
        """Forward progress to a caller who asked for it."""
