"""Tasks that survive the runtime: what of them is in the database, and how their sandboxes are taken over."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sqlalchemy import Engine, delete, insert, select

from muxi_runtime.identity.keys import KeyStore
from muxi_runtime.store.engine import reading, writing
from muxi_runtime.store.schema import kept_tasks
from muxi_runtime.store.times import from_text, utc_text
from muxi_sandbox.contract import KeptSandbox, Spec
from muxi_sandbox.pool.pool import Leased

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from contextlib import AbstractAsyncContextManager

    from muxi_runtime.gateway.upstream import Upstream
    from muxi_runtime.identity.principal import Principal
    from muxi_sandbox.contract import Backend, Sandbox

__all__ = ["KeptTask", "KeptTasks", "take_over"]


@dataclass(frozen=True, slots=True)
class KeptTask:
    """One row: the task, and what its sandboxes were when it was last written.

    Attributes:
        selector: what selects it beside its id, as `Task.key`.
        created_at: seconds since 1970.
        snapshot: of the workspace, for when that is gone; `None` if none was taken.
        labels: what it has seen, with why, source, call and time, as `task.Mark`.
    """

    id: str
    principal: Principal
    client: str
    selector: tuple[str, str] | None
    created_at: float
    sandboxes: tuple[KeptSandbox, ...]
    snapshot: str | None = None
    labels: Mapping[str, tuple[str, str, str, str]] = field(default_factory=dict)


class KeptTasks:
    """The table. Calls block for a fraction of a millisecond."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def put(self, task: KeptTask) -> None:
        """Write it, in place of what is there of it."""
        row = {
            "id": task.id,
            "user": task.principal.user,
            "key": task.principal.key,
            "client": task.client,
            "selector": json.dumps(task.selector) if task.selector else None,
            "created_at": utc_text(datetime.fromtimestamp(task.created_at, UTC)),
            "kept_at": utc_text(datetime.now(UTC)),
            "sandboxes": json.dumps([_written(sandbox) for sandbox in task.sandboxes]),
            "snapshot": task.snapshot,
            "labels": json.dumps(dict(task.labels)) if task.labels else None,
        }
        with writing(self._engine) as connection:
            connection.execute(delete(kept_tasks).where(kept_tasks.c.id == task.id))
            connection.execute(insert(kept_tasks).values(row))

    def remove(self, task: str) -> None:
        """Forget it; no error if it is not there."""
        with writing(self._engine) as connection:
            connection.execute(delete(kept_tasks).where(kept_tasks.c.id == task))

    def all(self) -> list[KeptTask]:
        """Every kept task, oldest first."""
        with reading(self._engine) as connection:
            rows = connection.execute(select(kept_tasks).order_by(kept_tasks.c.created_at)).mappings().all()
        keys = KeyStore(self._engine)
        return [
            KeptTask(
                id=row["id"],
                principal=keys.known(row["user"], row["key"]),
                client=row["client"],
                selector=tuple(json.loads(row["selector"])) if row["selector"] else None,
                created_at=from_text(row["created_at"]).timestamp(),
                sandboxes=tuple(_read(entry) for entry in json.loads(row["sandboxes"])),
                snapshot=row["snapshot"],
                labels={label: tuple(mark) for label, mark in json.loads(row["labels"] or "{}").items()},
            )
            for row in rows
        ]


def _written(sandbox: KeptSandbox) -> dict[str, object]:
    return {
        "name": sandbox.name,
        "id": sandbox.id,
        "spec": _without_values(sandbox.spec).model_dump(mode="json"),
        "volume": sandbox.volume,
        "read_only": sandbox.read_only,
    }


def _without_values(spec: Spec) -> Spec:
    """What is exposed to the sandbox is in its container; it is not written down a second time."""
    kept = {name: value for name, value in spec.environment.items() if name not in spec.exposed}
    return spec.model_copy(update={"environment": kept})


def _read(entry: dict[str, object]) -> KeptSandbox:
    return KeptSandbox(
        name=str(entry["name"]),
        id=str(entry["id"]),
        spec=Spec.model_validate(entry["spec"]),
        volume=str(entry["volume"]),
        read_only=bool(entry["read_only"]),
    )


@asynccontextmanager
async def take_over(
    backend: Backend,
    kept: KeptSandbox,
    open_session: Callable[[Sandbox], AbstractAsyncContextManager[Upstream]],
) -> AsyncIterator[Leased[Upstream]]:
    """A sandbox that an earlier runtime left, with a session of its own.

    Raises:
        SandboxError: it is gone, or not as it was.
        ServerError: the server inside does not answer any more.
    """
    async with backend.adopt(kept) as lease, open_session(lease.sandbox) as session:
        await session.check()
        yield Leased(lease, session, was_warm=False)
