"""The one door: every call, of a tool or of what is beside tools, goes through `Door.call`. Read it top to bottom.

    who?    the front has told the principal already; its role and scopes let it call
    what?   the tool, as its server listed it
    valid?  the arguments against its input schema, within limits
    may?    policy: allow, ask a person, or deny
    where?  the task's sandbox of that server
    do      MCP over the sandbox's standard input and output
    guard   hidden characters, size, and the labels that the task has from then on
    journal the decision before, the outcome before the answer

What is refused raises a `RefusedError`; what broke raises a `SandboxError` or `ServerError`. Neither is ever a result.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import anyio

from muxi_runtime.errors import (
    DeniedError,
    ForwardedError,
    InvalidArgumentsError,
    MuxiError,
    RefusedError,
    ServerError,
    UnknownToolError,
)
from muxi_runtime.gateway.asking import Asking
from muxi_runtime.gateway.caller import Caller, CallRequest, Inputs
from muxi_runtime.gateway.giving import Giving
from muxi_runtime.gateway.guarded_caller import GuardedCaller
from muxi_runtime.gateway.host_server import HOST, HostServer, reads_rests
from muxi_runtime.gateway.json_limits import contains_deeper_than
from muxi_runtime.gateway.notes import LIMITS_META, with_note
from muxi_runtime.gateway.settings import GatewaySettings
from muxi_runtime.gateway.subjects import Subject, access_of, params_of, subject_of
from muxi_runtime.gateway.task import Task
from muxi_runtime.gateway.tasks import TaskRegistry
from muxi_runtime.gateway.tools import Tool, ToolBook
from muxi_runtime.gateway.underway import Call, CallLog, new_call_id
from muxi_runtime.gateway.upstream import Upstream
from muxi_runtime.gateway.wanted import fingerprint_of, wanted_call
from muxi_runtime.gateway.words import UserWords
from muxi_runtime.identity.access import demand_call
from muxi_runtime.journal.contract import Draft, Journal
from muxi_runtime.policy.contract import Access, Decision, Effect, Policy, ToolCall
from muxi_sandbox.errors import SandboxError

__all__ = ["Door", "Watch"]

MAX_ROUNDS = 20
"""How often one call may ask its caller for more."""


class Door:
    """The one function by which tools are called."""

    def __init__(  # noqa: PLR0913 - one for each thing that meets here
        self,
        *,
        tools: ToolBook,
        tasks: TaskRegistry,
        policy: Policy,
        journal: Journal,
        asking: Asking,
        host: HostServer,
        built_in: Callable[[str], bool],
        settings: GatewaySettings,
        giving: Giving,
        words: UserWords,
    ) -> None:
        self._tools = tools
        self._tasks = tasks
        self._policy = policy
        self._journal = journal
        self._log = CallLog(journal)
        self._asking = asking
        self._host = host
        self._built_in = built_in
        self._settings = settings
        self._giving = giving
        self._words = words

    async def call(self, request: CallRequest, caller: Caller) -> Mapping[str, Any]:
        """Make one call: its result as JSON values.

        Raises:
            RefusedError: it was not made.
            SandboxError | ServerError: it was begun, and what runs the tool broke.
            ForwardedError: the server answered with a protocol error of its own.
            JournalError: it could not be journalled; if it was made, its outcome is not given out.
        """
        call = await self._admit(request, caller)
        await self._permit(call)
        try:
            guarded = await self._giving.guard(call, await self._perform(call))
        except (SandboxError, MuxiError) as error:
            await self._fail(call, error)
            raise
        except anyio.get_cancelled_exc_class():
            await self._log.cancelled(call)
            raise
        result = guarded.result
        reached = sorted((result.get("_meta") or {}).get(LIMITS_META, ()))
        told = {"limits": reached, "stripped": call.tally.stripped, "kept": list(guarded.rests), **call.tally.told()}
        await self._log.tell(
            call,
            "call.finished",
            is_error=bool(result.get("isError")),
            result_bytes=guarded.size,
            **{name: value for name, value in told.items() if value},
        )
        return result

    async def watch(self, request: CallRequest, caller: Caller, told: Callable[[], None]) -> Watch:
        """Have `told` called when a resource changes: decided and journalled like reading it.

        Raises:
            as `call`.
        """
        call = await self._admit(request, caller)
        await self._permit(call)
        if call.task is None or call.request.server == HOST:
            raise UnknownToolError("A kept result never changes.")
        try:
            async with self._tasks.use(call.task, call.tool.server, call.id) as upstream:
                call.found["sandbox"] = upstream.sandbox.id
                reached = self._guarded(call)
                end = await upstream.watch(
                    call.tool.name,
                    told,
                    seconds=self._settings.call_seconds,
                    caller=reached,
                    asked=partial(self._log.asked, call),
                )
        except anyio.get_cancelled_exc_class():
            await self._log.cancelled(call)
            raise
        except (SandboxError, MuxiError) as error:
            await self._fail(call, error)
            raise
        await self._log.tell(call, "call.finished", is_error=False, result_bytes=0)
        return Watch(call.task, end)

    async def _fail(self, call: Call, error: Exception) -> None:
        """Label, and tell the journal of it, before an error is given out. Raises JournalError."""
        said = str(error)[:500]
        await self._giving.fail(call, error)
        told = {"error": type(error).__name__, "message": said, **call.tally.told()}
        await self._log.tell(call, "call.failed", **told)

    def _guarded(self, call: Call) -> GuardedCaller:
        first, shown = partial(self._giving.reach, call), partial(self._giving.words, call)
        return GuardedCaller(call.caller, call.tally, first, shown)

    async def _admit(self, request: CallRequest, caller: Caller) -> Call:
        """What, valid, where: everything that can refuse a call before policy is asked."""
        call_id = new_call_id()
        try:
            demand_call(caller.principal, request.server, request.tool if request.method == "tools/call" else None)
            tool = self._what(request)
            if contains_deeper_than(request.arguments, self._settings.max_json_depth):
                limit = self._settings.max_json_depth
                raise InvalidArgumentsError(f"The arguments are nested deeper than {limit} levels.")
            tool.check(request.arguments)
            fingerprint = fingerprint_of(tool, request)
            task = await self._where(request, caller)
            self._words.take(task, request.origin.words)
        except RefusedError as error:
            data = {"server": request.server[:80], "tool": request.tool[:200], "message": str(error)[:500]}
            await self._journal.append(Draft("call.refused", principal=str(caller.principal), call=call_id, data=data))
            raise
        return Call(call_id, request, caller, tool, task, time.monotonic(), fingerprint)

    async def _where(self, request: CallRequest, caller: Caller) -> Task | None:
        """The task; the host's own tools do without one, and open none."""
        if request.server == HOST:
            return self._tasks.known(caller.principal, request.origin) if reads_rests(request) else None
        return await self._tasks.resolve(caller.principal, request.origin)

    def _what(self, request: CallRequest) -> Tool | Subject:
        if request.method == "tools/call":
            return self._tools.find(request.server, request.tool)
        if request.server not in self._tools.servers:
            raise UnknownToolError(f"Server {request.server!r} has neither resources nor prompts.")
        return subject_of(request)

    def _question(self, call: Call) -> ToolCall | Access:
        built_in, is_remote = self._built_in(call.tool.server), self._giving.is_remote(call.tool.server)
        if isinstance(call.tool, Subject):
            access = access_of(call.request, call.caller.principal, call.task_id, built_in=built_in)
            return replace(access, labels=call.labels, open_world=is_remote)
        # Whatever a server elsewhere says of its tools: to call one is to tell it something.
        outside = {"openWorldHint": True} if is_remote else {}
        return ToolCall(
            principal=call.caller.principal,
            server=call.tool.server,
            tool=call.tool.name,
            task=call.task_id,
            arguments=call.request.arguments,
            annotations={**call.tool.annotations, **outside},
            built_in=built_in,
            labels=call.labels,
            origins=call.origins,
        )

    async def _permit(self, call: Call) -> None:
        """Ask the policy, and a person if it says so; the decision is durable before anything happens."""
        decision = await self._decide(call)
        if decision.effect is Effect.ASK:
            await self._ask(call, decision)
            again = self._policy.decide(self._question(call))
            if again.effect is Effect.ASK and (again.rules, again.wording) == (decision.rules, decision.wording):
                return
            decision = await self._decide(call)  # a person takes their time, and the rules changed meanwhile
        if decision.effect is Effect.ALLOW:
            return
        if decision.effect is Effect.ASK:
            raise DeniedError(
                f"Other rules ask about {call.tool.full_name} than when a person was asked.",
                rule=decision.rule,
                remedy="Make the call again to ask anew.",
            )
        raise DeniedError(
            f"{call.tool.full_name} was denied by the rule {decision.rule!r}: {decision.reason}",
            rule=decision.rule,
            remedy=decision.remedy,
        )

    async def _decide(self, call: Call) -> Decision:
        labels, who = call.labels, call.caller.principal
        decision = self._policy.decide(self._question(call))
        await self._log.tell(
            call,
            "call.decided",
            effect=str(decision.effect),
            rule=decision.rule,
            pin=call.tool.pin,
            fingerprint=call.fingerprint,
            role=str(who.role),
            groups=sorted(who.groups),
            labels=sorted(labels),
        )
        return decision

    async def _ask(self, call: Call, decision: Decision) -> None:
        """Get a person's leave; what they said, now or before, is in the journal with the call."""
        try:
            wanted = wanted_call(
                call=call.id,
                request=call.request,
                tool=call.tool,
                principal=call.caller.principal,
                task=call.task,
                fingerprint=call.fingerprint,
                decision=decision,
            )
            approval = await self._asking.permit(wanted, call.caller, decision.remedy)
        except anyio.get_cancelled_exc_class():
            await self._log.cancelled(call)
            raise
        except DeniedError as error:
            if error.answered:
                await self._log.answered(call, decision.rule, error.approval, allowed=False, detail=str(error))
            else:
                await self._log.tell(call, "call.refused", message=str(error)[:500])
            raise
        await self._log.answered(call, decision.rule, approval.id, allowed=True, detail=f"for {approval.scope}")

    async def _perform(self, call: Call) -> Mapping[str, Any]:
        if call.task is None or call.request.server == HOST:
            await self._giving.read_on(call)
            return await self._host.answer(call.request, call.caller.principal, call.task)
        async with self._tasks.use(call.task, call.tool.server, call.id) as upstream:
            call.found["sandbox"] = upstream.sandbox.id
            self._require_same(call)
            try:
                result = await self._ask_until_done(call, upstream)
                if isinstance(call.tool, Subject):
                    return result
                return with_note(dict(result), call.task.notes.pop(call.tool.server, ""))
            except (SandboxError, ForwardedError) as error:
                if reason := self._tasks.close_reason(call.task, call.tool.server):
                    raise ServerError(f"The call was cut off: {reason}.") from error
                raise

    def _require_same(self, call: Call) -> None:
        """A new session may have shown another tool under the name that was decided on.

        Raises:
            RefusedError: it did.
        """
        if isinstance(call.tool, Tool) and self._tools.find(call.tool.server, call.tool.name).pin != call.tool.pin:
            raise RefusedError(
                f"{call.tool.full_name} changed while the call was on its way. It was not made.",
                remedy="List the tools again, then call it as it is now.",
            )

    async def _ask_until_done(self, call: Call, upstream: Upstream) -> Mapping[str, Any]:
        """The result, after as many rounds as a modern server needs for its questions."""
        inputs = call.caller.inputs
        reached = self._guarded(call)
        for _ in range(MAX_ROUNDS):
            result = await upstream.request(
                call.request.method,
                params_of(call.request),
                seconds=self._settings.call_seconds,
                caller=reached,
                inputs=inputs,
                told=partial(self._log.asked, call),
            )
            if result.get("resultType") != "input_required":
                return result if isinstance(call.tool, Subject) else upstream.with_limits(result)
            requests, state = result.get("inputRequests") or {}, result.get("requestState")
            await self._log.asked(call, [str(asked["method"]) for asked in requests.values()])
            shown = {key: call.tally.clean(asked) for key, asked in requests.items()}
            await self._giving.reach(call, shown)
            shown = await self._giving.words(call, shown)
            if not call.caller.hand_over(shown, state):
                inputs = Inputs(await call.caller.answers(shown), state)
        raise ServerError(f"{call.tool.full_name} asked its caller for more than {MAX_ROUNDS} times.")


@dataclass(frozen=True, slots=True)
class Watch:
    """A resource that is watched in a task's sandbox."""

    task: Task
    end: Callable[[], None]
