"""Roles, and the one table of what each may do. docs/identities.md shows the same table; a test holds them together.

A role is the most that a caller may do. The scopes of a key or token take from that, the policy's rules take more, and
nothing adds to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

__all__ = ["ACTIONS", "Action", "Grant", "Role"]


class Role(StrEnum):
    """What a user is here for."""

    OWNER = "owner"
    OPERATOR = "operator"
    USER = "user"
    AUDITOR = "auditor"
    SERVICE = "service"


class Action(StrEnum):
    """What can be done over HTTP."""

    WHOAMI = "whoami"
    """Be told who one is."""
    CALL = "call"
    """Use the MCP endpoint: tools, resources, prompts."""
    APPROVE = "approve"
    """Answer the question that a rule asks before one's own call."""
    APPROVALS = "approvals"
    """See and answer questions over HTTP, as far as the action before and the next one go."""
    ALL_APPROVALS = "all-approvals"
    """See and answer everybody's questions."""
    OWN_TASKS = "own-tasks"
    """List, keep and end one's own tasks; their files, snapshots and logs."""
    ALL_TASKS = "all-tasks"
    """List everybody's tasks; not what is in them."""
    END_TASKS = "end-tasks"
    """End anybody's task."""
    SEE_TOOLS = "see-tools"
    """List servers and tools."""
    STATUS = "status"
    """See whether the runtime works."""
    LOGINS = "logins"
    """Log in to servers elsewhere, and out; for another user only with the next action."""
    SERVERS = "servers"
    """Have the runtime take over servers that were added, changed or removed."""
    POLICY = "policy"
    """Have the runtime take the rules that are on disk."""


@dataclass(frozen=True, slots=True)
class Grant:
    """Who may do one thing.

    Attributes:
        roles: whose role allows it.
        scopes: kinds of scope, of which a key or token that has scopes needs one; none: no scope is needed.
    """

    roles: frozenset[Role]
    scopes: tuple[str, ...] = ()


_ALL = frozenset(Role)
_CALLERS = frozenset({Role.OWNER, Role.OPERATOR, Role.USER, Role.SERVICE})
_PEOPLE = frozenset({Role.OWNER, Role.OPERATOR, Role.USER})
_OPERATORS = frozenset({Role.OWNER, Role.OPERATOR})
_OVERSEERS = frozenset({Role.OWNER, Role.OPERATOR, Role.AUDITOR})

ACTIONS: Mapping[Action, Grant] = {
    Action.WHOAMI: Grant(_ALL),
    Action.CALL: Grant(_CALLERS, ("call",)),
    Action.APPROVE: Grant(_PEOPLE, ("call",)),
    Action.APPROVALS: Grant(_PEOPLE, ("call", "admin")),
    Action.ALL_APPROVALS: Grant(_OPERATORS, ("admin",)),
    Action.OWN_TASKS: Grant(_CALLERS, ("call",)),
    Action.ALL_TASKS: Grant(_OVERSEERS, ("read",)),
    Action.END_TASKS: Grant(_OPERATORS, ("admin",)),
    Action.SEE_TOOLS: Grant(_ALL, ("read", "call")),
    Action.STATUS: Grant(_ALL, ("read",)),
    Action.LOGINS: Grant(_PEOPLE, ("call",)),
    Action.SERVERS: Grant(_OPERATORS, ("admin",)),
    Action.POLICY: Grant(_OPERATORS, ("admin",)),
}
