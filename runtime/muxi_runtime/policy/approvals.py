"""What an approval is: a question that a rule asks, kept until a person answers it, and what the answer covers.

Above: `approval_desk`, which keeps, answers and uses them, and the commands and routes that show them. Below:
`approval_store`. Nothing in here waits or writes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, TypeAlias

from muxi_runtime.identity.access import may
from muxi_runtime.identity.principal import Principal
from muxi_runtime.identity.roles import Action
from muxi_runtime.identity.scopes import covers_call

__all__ = ["Approval", "Kind", "Scope", "State", "Wanted", "covers", "may_answer", "may_see", "means"]

Kind: TypeAlias = Literal["call", "connect", "declassify"]
"""What is asked about: a call, a connection of a sandbox, or taking a label off a task."""


class State(StrEnum):
    """Where an approval stands. Only `allowed` lets anything happen."""

    WAITING = "waiting"
    ALLOWED = "allowed"
    DENIED = "denied"
    EXPIRED = "expired"
    USED = "used"


class Scope(StrEnum):
    """How much a yes covers."""

    ONCE = "once"
    TASK = "task"
    HOUR = "hour"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What somebody wants to do, and which rules ask about it.

    Attributes:
        task: its id; empty where there is none.
        place: what finds the task again after it ended: the client's name, or the task's own id.
        title: what is wanted, in words for a person.
        tool: the tool, resource or prompt; of a connection, the host and its port.
        pin: of the accepted definition, or what stands for it.
        fingerprint: SHA-256 over the pin and the arguments.
        shown: the arguments as a person is shown them: printable, bounded.
        rules: the ids of all rules that ask.
        wording: a digest of their texts.
        call: the id of the call, for the journal.
    """

    kind: Kind
    principal: Principal
    task: str
    place: str
    title: str
    server: str
    tool: str
    pin: str
    fingerprint: str
    shown: str
    rules: tuple[str, ...]
    reason: str
    call: str = ""
    wording: str = ""

    @property
    def mark(self) -> str:
        """Equal for two wishes that one answer may stand for: the same thing, wanted in the same place."""
        parts = [self.kind, str(self.principal), self.place, self.server, self.tool, self.pin, self.fingerprint]
        return hashlib.sha256(json.dumps([*parts, self.wording, *sorted(self.rules)]).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Approval:
    """One row. Times are ISO 8601 in UTC.

    Attributes:
        expires_at: when the question, or what was allowed, ends by itself; `None`: with its task.
        scope: of a yes.
        answered_by: the principal, as text.
        how: by which way the answer came: `elicitation` or `control`.
        note: what was said with the answer, or why it ended.
    """

    id: str
    wanted: Wanted
    state: State
    created_at: str
    expires_at: str | None
    scope: Scope | None = None
    answered_at: str | None = None
    answered_by: str = ""
    how: str = ""
    note: str = ""

    def is_over(self, now: str) -> bool:
        """Whether its time has passed, noted or not."""
        return self.expires_at is not None and self.expires_at <= now


def covers(approval: Approval, wanted: Wanted, now: str, is_open: Callable[[str], bool]) -> bool:
    """Whether what was allowed permits this: same thing as it was pinned, asked about by the same rules, word by word.

    `is_open` tells whether a task is. One that has ended is stood for by the next one of its place, for `once` alone.
    """
    told = approval.wanted
    same_thing = (told.kind, told.server, told.tool, told.pin) == (wanted.kind, wanted.server, wanted.tool, wanted.pin)
    if approval.state is not State.ALLOWED or approval.is_over(now) or not same_thing:
        return False
    if (set(told.rules), told.wording) != (set(wanted.rules), wanted.wording):
        return False
    if approval.scope is Scope.HOUR:
        return told.principal.user == wanted.principal.user
    if told.principal != wanted.principal:
        return False
    if approval.scope is Scope.TASK:
        return bool(told.task) and told.task == wanted.task
    return told.mark == wanted.mark and (told.task == wanted.task or not is_open(told.task))


def may_see(principal: Principal, approval: Approval) -> bool:
    """Whether it exists for them: whoever is asked for, by any key of theirs, and operators."""
    return principal.user == approval.wanted.principal.user or may(principal, Action.ALL_APPROVALS)


def may_answer(principal: Principal, approval: Approval) -> bool:
    """Whether their answer counts: operators', and that of a person who is asked for, by a key for such a call.

    Nobody but operators takes a label off.
    """
    if may(principal, Action.ALL_APPROVALS):
        return True
    wanted = approval.wanted
    if wanted.kind == "declassify":
        return False
    covered = covers_call(principal.scopes, wanted.server, wanted.tool if wanted.kind == "call" else None)
    return principal.user == wanted.principal.user and may(principal, Action.APPROVE) and covered


def means(scope: Scope, kind: Kind = "call") -> str:
    """What a yes of this scope allows, for a person."""
    if kind == "declassify":
        again = "or until the task sees such content again"
        return f"it is off until the task ends, {again}" if scope is Scope.TASK else f"it is off for an hour, {again}"
    if kind == "connect":
        return {
            Scope.ONCE: "one connection to this host",
            Scope.TASK: "any connection of this server to this host, in this task",
            Scope.HOUR: "any connection of this server to this host, in any task of this user, for an hour",
        }[scope]
    return {
        Scope.ONCE: "exactly these arguments, once",
        Scope.TASK: "this tool in this task, whatever its arguments",
        Scope.HOUR: "this tool in any task of this user, whatever its arguments, for an hour",
    }[scope]
