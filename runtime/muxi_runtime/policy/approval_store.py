"""The table of approvals. Above: `approval_desk`, whose lock keeps the answers of one process in order.

Calls block for a fraction of a millisecond, longer while another process writes: call them in a thread.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, Engine, delete, func, insert, select, update

from muxi_runtime.identity.principal import Principal
from muxi_runtime.policy.approvals import Approval, Scope, State, Wanted
from muxi_runtime.store.engine import reading, writing
from muxi_runtime.store.schema import approvals

__all__ = ["ApprovalStore"]

LISTED = 1000
"""Rows of one list at most, the newest."""


class ApprovalStore:
    """See the module."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(self, approval: Approval) -> None:
        """Keep a new one."""
        with writing(self._engine) as connection:
            connection.execute(insert(approvals).values(_row(approval)))

    def get(self, approval_id: str) -> Approval | None:
        """The one of that id."""
        return next(iter(self._select(approvals.c.id == approval_id)), None)

    def all(self, *states: State) -> list[Approval]:
        """Those in one of the states, oldest first; without states, all that are known."""
        return self._select(approvals.c.state.in_(states)) if states else self._select()

    def like(self, wanted: Wanted, state: State) -> list[Approval]:
        """Those in the state that are about the same tool, whoever asked and with whatever arguments, oldest first."""
        same_tool = (approvals.c.server == wanted.server) & (approvals.c.tool == wanted.tool)
        return self._select((approvals.c.kind == wanted.kind) & same_tool & (approvals.c.state == state))

    def waiting_of(self, user: str) -> int:
        """How many questions wait for an answer to this user."""
        mine = (approvals.c.user == user) & (approvals.c.state == State.WAITING)
        with reading(self._engine) as connection:
            return int(connection.execute(select(func.count()).select_from(approvals).where(mine)).scalar_one())

    def change(self, approval_id: str, was: State, **values: str | None) -> bool:
        """Change one that still is in this state; whether it was. Of several that try, one succeeds."""
        this = (approvals.c.id == approval_id) & (approvals.c.state == was)
        with writing(self._engine) as connection:
            return connection.execute(update(approvals).where(this).values(values)).rowcount == 1

    def forget_ended(self, before: str) -> None:
        """Remove what ended by an answer or by itself and was asked before this time."""
        ended = approvals.c.state.not_in([State.WAITING, State.ALLOWED])
        with writing(self._engine) as connection:
            connection.execute(delete(approvals).where(ended & (approvals.c.created_at < before)))

    def _select(self, *conditions: ColumnElement[bool]) -> list[Approval]:
        newest = select(approvals).where(*conditions).order_by(approvals.c.created_at.desc(), approvals.c.id)
        with reading(self._engine) as connection:
            rows = [dict(row) for row in connection.execute(newest.limit(LISTED)).mappings()]
        return [_approval(row) for row in reversed(rows)]


_OF_WANTED = (
    "kind",
    "task",
    "place",
    "title",
    "server",
    "tool",
    "pin",
    "fingerprint",
    "shown",
    "reason",
    "call",
    "wording",
)
_OF_APPROVAL = ("id", "created_at", "expires_at", "answered_at", "answered_by", "how", "note")


def _row(approval: Approval) -> dict[str, Any]:
    wanted = approval.wanted
    return {
        **{name: getattr(wanted, name) for name in _OF_WANTED},
        **{name: getattr(approval, name) for name in _OF_APPROVAL},
        "user": wanted.principal.user,
        "key": wanted.principal.key,
        "rules": json.dumps(wanted.rules),
        "state": approval.state,
        "scope": approval.scope,
    }


def _approval(row: Mapping[str, Any]) -> Approval:
    wanted = Wanted(
        principal=Principal(row["user"], row["key"]),
        rules=tuple(json.loads(row["rules"])),
        **{name: row[name] for name in _OF_WANTED},
    )
    scope = Scope(row["scope"]) if row["scope"] else None
    fields = {name: row[name] for name in _OF_APPROVAL}
    return Approval(wanted=wanted, state=State(row["state"]), scope=scope, **fields)
