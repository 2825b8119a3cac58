"""Where questions wait for a person: asked, answered, used and forgotten here, by one after the other.

    approval = await approvals.request(wanted)       # make it, or join the one that waits
    await approvals.answer(approval.id, by, ...)     # a person says yes or no; the first one counts
    await approvals.use(wanted)                      # what was allowed, if anything covers this; `once` is used up

Above: the door (`gateway.asking`), the way out (`gateway.egress`), the routes. Below: the table and the journal. What a
yes allows begins after the journal holds it; what is used up is so before the journal does: either way, a failure in
between permits nothing.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Protocol

import anyio
from anyio.to_thread import run_sync
from sqlalchemy.exc import SQLAlchemyError

from muxi_runtime.errors import ForbiddenError, JournalError, RefusedError, UnknownApprovalError
from muxi_runtime.identity.principal import Principal
from muxi_runtime.journal.contract import Draft, Journal
from muxi_runtime.policy.approval_store import ApprovalStore
from muxi_runtime.policy.approvals import Approval, Scope, State, Wanted, covers, may_answer, may_see
from muxi_runtime.store.times import utc_text

__all__ = ["MAX_WAITING", "Approvals", "Lifting"]

logger = logging.getLogger(__name__)

MAX_WAITING = 100
"""Questions that may wait for one user at once."""
HOUR_SECONDS = 3600
KEPT_DAYS = 30
"""How long an approval that is over can still be looked at. The journal keeps what happened."""
LOOK_SECONDS = 15
"""Between two looks at what has expired."""
MAX_NOTE = 300


class Lifting(Protocol):
    """What a yes to `declassify` does, and the end of it. Production: `gateway.declassifying`."""

    def check(self, approval: Approval) -> None:
        """Raises RefusedError where a yes would not be one to what was asked any more."""

    async def begin(self, approval: Approval) -> None:
        """It counts from now on. Raises RefusedError or JournalError: it does not."""

    async def end(self, approval: Approval, why: str) -> None:
        """It counts no more, also where this raises JournalError."""

    def holds(self, approval: Approval) -> bool:
        """Whether it still has an effect."""


class Approvals:
    """See the module. One of them in one runtime: it holds who waits."""

    def __init__(self, store: ApprovalStore, journal: Journal, *, seconds: float) -> None:
        """A question waits for so many `seconds`; what was allowed once holds for as long again."""
        self._store = store
        self._journal = journal
        self._seconds = seconds
        self._lock = anyio.Lock()
        self._attended: set[str] = set()
        self._news = anyio.Event()
        self.is_open: Callable[[str], bool] = bool
        """Whether a task of this id is open."""
        self.lifting: Lifting | None = None
        """Without it no label can be taken off."""

    async def use(self, wanted: Wanted, own: str = "") -> Approval | None:
        """What was allowed before and covers this, used up if it was for once; `None` if nothing does.

        `own` is the approval that this very caller waits on; what others wait on is left to them.

        Raises:
            JournalError: it could not be journalled. What was for once is used up all the same.
        """
        async with self._lock:
            found = [approval for approval in await self._covering(wanted) if self._is_free(approval, own)]
            # What is not used up goes first, but for the caller's own.
            for approval in sorted(found, key=lambda a: (a.id != own, a.scope is Scope.ONCE)):
                if approval.scope is Scope.ONCE and not await self._change(approval, State.ALLOWED, state=State.USED):
                    continue
                await self._tell(Draft("approval.used", data={"scope": approval.scope}), approval, wanted)
                return approval
        return None

    async def _covering(self, wanted: Wanted) -> list[Approval]:
        now = utc_text()
        allowed = await run_sync(self._store.like, wanted, State.ALLOWED)
        return [approval for approval in allowed if covers(approval, wanted, now, self.is_open)]

    def _is_free(self, approval: Approval, own: str) -> bool:
        return approval.scope is not Scope.ONCE or approval.id == own or approval.id not in self._attended

    async def request(self, wanted: Wanted, known: str = "") -> Approval:
        """Have a person asked: the approval to wait for.

        The one that waits already for the same thing in the same place, if nobody attends to it; else a new one.
        `known` is the one that the caller was told of before: if it was refused or ran out, that is the answer.

        Raises:
            RefusedError: too many wait.
            JournalError: it could not be journalled.
        """
        async with self._lock:
            return await self._request(wanted, known)

    async def _request(self, wanted: Wanted, known: str) -> Approval:
        before = await run_sync(self._store.get, known) if known else None
        if before is not None and before.wanted.mark == wanted.mark and before.state in (State.DENIED, State.EXPIRED):
            return before
        now = utc_text()
        for approval in sorted(await run_sync(self._store.like, wanted, State.WAITING), key=lambda a: a.id != known):
            if self._can_be_joined(approval, wanted, now):
                await self._change(approval, State.WAITING, task=wanted.task)
                return replace(approval, wanted=replace(approval.wanted, task=wanted.task))
        if await run_sync(self._store.waiting_of, wanted.principal.user) >= MAX_WAITING:
            raise RefusedError(
                f"{MAX_WAITING} approvals wait for an answer already.",
                remedy="Answer some: `muxi-runtime approvals list` shows them.",
            )
        approval = Approval(f"a-{secrets.token_hex(5)}", wanted, State.WAITING, now, self._after(self._seconds))
        data = {"reason": wanted.reason[:500], "pin": wanted.pin[:500], "fingerprint": wanted.fingerprint}
        await self._tell(Draft("approval.requested", data={**data, "expires_at": approval.expires_at}), approval)
        await run_sync(self._store.add, approval)
        return approval

    def _can_be_joined(self, approval: Approval, wanted: Wanted, now: str) -> bool:
        told = approval.wanted
        here = told.task == wanted.task or not self.is_open(told.task)
        return told.mark == wanted.mark and here and approval.id not in self._attended and not approval.is_over(now)

    @asynccontextmanager
    async def attended(self, wanted: Wanted, known: str = "") -> AsyncIterator[Approval]:
        """As `request`; inside the block it is this caller's: nobody joins it, and a yes for once is kept for it."""
        async with self._lock:
            approval = await self._request(wanted, known)
            self._attended.add(approval.id)
        try:
            yield approval
        finally:
            self._attended.discard(approval.id)
            self._wake()

    async def wait(self, approval: Approval) -> None:
        """Return when it is answered or over, or when another answer covers what it asks about."""
        while True:
            news = self._news
            now = await run_sync(self._store.get, approval.id)
            if now is None or now.state is not State.WAITING or now.is_over(utc_text()):
                return
            if any(self._is_free(other, "") for other in await self._covering(approval.wanted)):
                return
            await news.wait()

    async def answer(
        self, approval_id: str, by: Principal, *, allow: bool, scope: Scope = Scope.ONCE, how: str, note: str = ""
    ) -> Approval:
        """A person's answer: the approval as it is now. The first answer counts.

        Raises:
            UnknownApprovalError: there is none, or not for them.
            ForbiddenError: they may see it only.
            RefusedError: it was answered or ran out before; or a yes for its task would allow nothing: that is over.
            JournalError: it could not be journalled, and does not count.
        """
        async with self._lock:
            approval = await self._answerable(approval_id, by)
            _check_waits(approval)
            if allow and approval.wanted.kind == "declassify":
                self._lifting().check(approval)
                scope = Scope.TASK if scope is Scope.TASK else Scope.HOUR
            if allow and scope is Scope.TASK and not self.is_open(approval.wanted.task):
                raise RefusedError(f"The task of {approval_id} is over.", remedy="Allow it for once or for an hour.")
            values = {
                "scope": scope.value if allow else None,
                "expires_at": self._end_of(scope) if allow else approval.expires_at,
                "answered_at": utc_text(),
                "answered_by": str(by),
                "how": how,
                "note": note[:MAX_NOTE],
            }
            data = {"allowed": allow, "scope": values["scope"], "how": how, "by": str(by), "note": note[:MAX_NOTE]}
            state = State.ALLOWED if allow else State.DENIED
            with anyio.CancelScope(shield=True):  # it is in the journal and in force, or in neither
                await self._tell(Draft("approval.answered", data=data), approval)
                if not await self._change(approval, State.WAITING, state=state, **values):
                    raise RefusedError(f"{approval_id} was answered by somebody else at the same time.")
                if allow and approval.wanted.kind == "declassify":
                    await self._begin(approval_id)
        self._wake()
        return await self.named(approval_id, by)

    async def _begin(self, approval_id: str) -> None:
        """Take the label off; what cannot be done is not allowed either."""
        approval = await run_sync(self._store.get, approval_id)
        if approval is None:
            raise RefusedError(f"{approval_id} is gone.")
        try:
            await self._lifting().begin(approval)
        except (RefusedError, JournalError) as error:
            await self._change(approval, State.ALLOWED, state=State.EXPIRED, note=str(error)[:MAX_NOTE])
            raise

    def _lifting(self) -> Lifting:
        if self.lifting is None:
            raise RefusedError("This runtime takes no labels off.")
        return self.lifting

    async def revoke(self, approval_id: str, by: Principal) -> Approval:
        """Take back what was allowed and is not used up: the approval as it is now.

        Raises:
            as `answer`.
        """
        async with self._lock:
            approval = await self._answerable(approval_id, by)
            if approval.state is not State.ALLOWED:
                raise RefusedError(f"{approval_id} allows nothing: it is {approval.state}.")
            await self._end(approval, f"{approval_id} was taken back")
            taken = await self._change(approval, State.ALLOWED, state=State.DENIED, note=f"taken back by {by}")
            if not taken:
                raise RefusedError(f"{approval_id} was used or taken back at the same time.")
            await self._tell(Draft("approval.revoked", data={"by": str(by)}), approval)
        return await self.named(approval_id, by)

    async def goes_on(self, wanted: Wanted, approval_id: str) -> Approval | None:
        """The approval by which this same call was begun before, noted in the journal again.

        Raises:
            JournalError: it could not be.
        """
        approval = await run_sync(self._store.get, approval_id)
        if approval is None or approval.state not in (State.ALLOWED, State.USED):
            return None
        await self._tell(Draft("approval.used", data={"scope": approval.scope, "goes_on": True}), approval, wanted)
        return approval

    async def named(self, approval_id: str, principal: Principal) -> Approval:
        """The approval of that id.

        Raises:
            UnknownApprovalError: none, or one that is not theirs (which is not told).
        """
        approval = await run_sync(self._store.get, approval_id)
        if approval is None or not may_see(principal, approval):
            raise UnknownApprovalError(
                f"There is no approval {approval_id[:40]!r} for you.", remedy="See `muxi-runtime approvals list`."
            )
        return approval

    async def _answerable(self, approval_id: str, by: Principal) -> Approval:
        approval = await self.named(approval_id, by)
        if not may_answer(by, approval):
            raise ForbiddenError(
                f"The role or the scopes of {by} do not allow to answer {approval_id}.",
                remedy="Have the user answer, or an operator.",
            )
        return approval

    async def of(self, principal: Principal, *, ended: bool = False) -> list[Approval]:
        """Those that they may see, oldest first: what waits and what is allowed; with `ended`, the others too."""
        states = () if ended else (State.WAITING, State.ALLOWED)
        found = await run_sync(self._store.all, *states)
        now = utc_text()
        return [a for a in found if may_see(principal, a) and (ended or not a.is_over(now))]

    async def run(self) -> None:
        """Note what has expired; runs for ever."""
        while True:
            try:
                await self.end_expired()
            except (JournalError, SQLAlchemyError):
                # What is over counts for nothing, noted or not.
                logger.exception("approvals that expired could not be noted")
            await anyio.sleep(min(LOOK_SECONDS, self._seconds))

    async def end_expired(self) -> None:
        """Note what is over by time or with its task, and forget what was long ago.

        Raises:
            JournalError: it could not be journalled.
        """
        now = utc_text()
        for approval in await run_sync(self._store.all, State.WAITING, State.ALLOWED):
            if approval.is_over(now):
                await self.expire(approval, "its time was over")
            elif self._is_without_effect(approval):
                await self.expire(approval, "the task is over, or has seen such content again")
            elif approval.scope is Scope.TASK and not self.is_open(approval.wanted.task):
                await self.expire(approval, "its task is over")
        await run_sync(self._store.forget_ended, utc_text(datetime.now(UTC) - timedelta(days=KEPT_DAYS)))

    async def expire(self, approval: Approval, why: str) -> None:
        """It counts no more, if it still did.

        Raises:
            JournalError: it could not be journalled.
        """
        async with self._lock:
            await self._end(approval, f"{approval.id} is over")
            if await self._change(approval, approval.state, state=State.EXPIRED, note=why):
                await self._tell(Draft("approval.expired", data={"was": approval.state, "why": why}), approval)
        self._wake()

    async def _end(self, approval: Approval, why: str) -> None:
        """Of a yes that took a label off: put it on before it is noted that the yes is over."""
        if approval.wanted.kind == "declassify" and approval.state is State.ALLOWED:
            await self._lifting().end(approval, why)

    def _is_without_effect(self, approval: Approval) -> bool:
        if approval.wanted.kind != "declassify" or approval.state is not State.ALLOWED:
            return False
        return not self._lifting().holds(approval)

    def _wake(self) -> None:
        self._news.set()
        self._news = anyio.Event()

    async def _change(self, approval: Approval, was: State, **values: str | None) -> bool:
        return await run_sync(partial(self._store.change, approval.id, was, **values))

    def _end_of(self, scope: Scope) -> str | None:
        if scope is Scope.TASK:
            return None
        return self._after(HOUR_SECONDS if scope is Scope.HOUR else self._seconds)

    @staticmethod
    def _after(seconds: float) -> str:
        return utc_text(datetime.now(UTC) + timedelta(seconds=seconds))

    async def _tell(self, draft: Draft, approval: Approval, wanted: Wanted | None = None) -> None:
        """Journal it, with what it is about: `wanted` now, or as it was asked."""
        about = wanted or approval.wanted
        facts: dict[str, Any] = {
            "approval": approval.id,
            "what": about.kind,
            "server": about.server,
            "tool": about.tool[:500],
            "rules": list(about.rules),
        }
        await self._journal.append(
            Draft(
                draft.kind,
                principal=str(about.principal),
                task=about.task or None,
                call=about.call or None,
                data={**facts, **draft.data},
            )
        )


def _check_waits(approval: Approval) -> None:
    """Whether it can be answered.

    Raises:
        RefusedError: it cannot, and why.
    """
    if approval.state is State.WAITING and not approval.is_over(utc_text()):
        return
    if approval.state in (State.WAITING, State.EXPIRED):
        raise RefusedError(f"{approval.id} is over: nobody answered in time.", remedy="Make the call again.")
    who = f" by {approval.answered_by}" if approval.answered_by else ""
    raise RefusedError(f"{approval.id} was answered before{who}: it is {approval.state}.")
