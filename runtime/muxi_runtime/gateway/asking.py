"""How a call waits for a person: the door's part in approvals.

Whoever answers first counts: the person at the client, by elicitation, or anybody who may answer by the command line or
over HTTP. A client that cannot ask waits a while and is told how to go on; the approval stays, and the same call, made
again, finds the answer. A modern client that can ask gets the question as its answer and comes back.

Above: `call.Door`. Below: `policy.approval_desk`, and `Caller` for the person at the client.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

from muxi_runtime.errors import DeniedError, RefusedError
from muxi_runtime.gateway.caller import Question
from muxi_runtime.gateway.json_limits import printable
from muxi_runtime.identity.access import may
from muxi_runtime.identity.roles import Action
from muxi_runtime.policy.approvals import Approval, Scope, State

if TYPE_CHECKING:
    from muxi_runtime.gateway.caller import Answer, Caller
    from muxi_runtime.policy.approval_desk import Approvals
    from muxi_runtime.policy.approvals import Wanted

__all__ = ["Asking"]

ASKED_SHOWN = 1000
"""Characters of them in a question; the rest is a command away."""
REMIND_SECONDS = 10
"""Between two reports to a caller who waits."""
STEP = 1e-6
"""Of progress by one report: it has to grow, and must leave room below for what the tool reports later."""


class Asking:
    """Gets a person's leave for what a rule asks about."""

    def __init__(self, approvals: Approvals, *, seconds: float) -> None:
        """Where nobody can be asked at the client, a call waits for so many `seconds`."""
        self._approvals = approvals
        self._seconds = seconds

    async def permit(self, wanted: Wanted, caller: Caller, remedy: str) -> Approval:
        """Return when it is allowed: by what.

        Raises:
            DeniedError: it is not, or not yet: names the approval and the rule. `remedy` is the rule's.
            RefusedError: too many questions wait.
            JournalError: something could not be journalled.
        """
        before = caller.resumes(wanted.mark)
        approval = await self._approvals.goes_on(wanted, before) if before else None
        approval = approval or await self._approvals.use(wanted) or await self._ask(wanted, caller, remedy)
        caller.permitted(wanted.mark, approval.id)
        return approval

    async def _ask(self, wanted: Wanted, caller: Caller, remedy: str) -> Approval:
        async with self._approvals.attended(wanted, caller.asked) as approval:
            unheard = await self._hear(approval, caller) if approval.state is State.WAITING else ""
            now = await self._approvals.named(approval.id, wanted.principal)
            used = None if now.state is State.DENIED else await self._approvals.use(wanted, approval.id)
            if used is None:
                raise _refusal(now, unheard, remedy)
            if used.id != approval.id:
                await self._approvals.expire(now, f"{used.id} covers it")
        return used

    async def _hear(self, approval: Approval, caller: Caller) -> str:
        """Wait until somebody has answered; else why nobody has.

        Raises:
            what `caller.ask` does.
        """
        unheard, failure = "nobody has answered yet", None

        async with anyio.create_task_group() as group:

            async def elsewhere() -> None:
                await self._approvals.wait(approval)
                group.cancel_scope.cancel()

            async def at_the_client() -> None:
                nonlocal unheard, failure
                try:
                    unheard = await self._put(approval, caller) or unheard
                except Exception as error:  # noqa: BLE001 - raised again below, outside of the group that would wrap it
                    failure = error
                group.cancel_scope.cancel()

            group.start_soon(elsewhere)
            group.start_soon(at_the_client)
            group.start_soon(_remind, approval, caller)
        if failure is not None:
            raise failure
        return unheard

    async def _put(self, approval: Approval, caller: Caller) -> str:
        """Ask the person at the client; why there was no answer, if there was none."""
        if not may(caller.principal, Action.APPROVE):
            await anyio.sleep(self._seconds)  # a service has nobody at its end: somebody else has to answer
            return ""
        if caller.asked and not caller.brought_answer:
            await anyio.sleep(self._seconds)  # it comes back to see whether somebody else has answered
        question = Question(_text(approval), approval.wanted.mark, approval.id, _scopes(approval))
        answer = await caller.ask(question)
        if answer is None:
            await anyio.sleep(self._seconds)
            return ""
        if not answer.by_person:
            return answer.detail
        await self._note(approval, caller, answer)
        return ""

    async def _note(self, approval: Approval, caller: Caller, answer: Answer) -> None:
        try:
            await self._approvals.answer(
                approval.id,
                caller.principal,
                allow=answer.allowed,
                scope=Scope(answer.scope),
                how="elicitation",
                note=answer.detail,
            )
        except RefusedError:
            return  # somebody was first: what they said counts, and is what the caller is told


async def _remind(approval: Approval, caller: Caller) -> None:
    """Tell a caller who listens that it waits, and for what, so that it goes on waiting."""
    text = f"waiting for a person: `muxi-runtime approvals allow {approval.id}` or `approvals deny {approval.id}`"
    reports = 0
    while caller.wants_progress:
        reports += 1
        await caller.progress(reports * STEP, None, text)
        await anyio.sleep(REMIND_SECONDS)


def _text(approval: Approval) -> str:
    wanted = approval.wanted
    shown = printable(wanted.shown, ASKED_SHOWN)
    more = f" (cut off; `muxi-runtime approvals show {approval.id}` has more)" if shown != wanted.shown else ""
    return f"Allow {wanted.title} with {shown}?{more} Rule {', '.join(wanted.rules)}: {wanted.reason} ({approval.id})"


def _scopes(approval: Approval) -> tuple[str, ...]:
    """What can be chosen: where no task is, nothing can be allowed for it."""
    return tuple(scope.value for scope in Scope if scope is not Scope.TASK or approval.wanted.task)


def _refusal(approval: Approval, unheard: str, remedy: str) -> DeniedError:
    wanted = approval.wanted
    rule = wanted.rules[0] if wanted.rules else ""
    if approval.state is State.DENIED:
        who = f" by {approval.answered_by}" if approval.answered_by else ""
        return DeniedError(
            f"{wanted.title} was not approved{who}: {approval.note or 'no reason was given'}.",
            rule=rule,
            approval=approval.id,
            answered=True,
        )
    if approval.state is not State.WAITING:
        return DeniedError(
            f"{wanted.title} was not approved: {approval.id} is {approval.state}.",
            rule=rule,
            remedy="Make the call again to ask anew.",
            approval=approval.id,
        )
    how = f"`muxi-runtime approvals allow {approval.id}` allows it; then make the same call again."
    return DeniedError(
        f"{wanted.title} needs a person's approval (rule {rule!r}: {wanted.reason}), and {unheard}.",
        rule=rule,
        remedy=f"{how} {remedy}".strip(),
        approval=approval.id,
    )
