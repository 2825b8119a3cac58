"""Decides what the sandboxes' egress proxy may connect to, and journals it: the `Gatekeeper` of the runtime.

Above: the proxy of each sandbox, which asks only about what the server's profile lets through. Below: the policy and
the journal. Whose task it is comes from the task registry, never from the sandbox.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from muxi_runtime.gateway.wanted import wanted_connection
from muxi_runtime.identity.principal import Principal
from muxi_runtime.journal.contract import Draft, Journal
from muxi_runtime.policy.approval_desk import Approvals
from muxi_runtime.policy.approvals import Wanted
from muxi_runtime.policy.contract import Connection, Decision, Effect, Policy
from muxi_runtime.policy.questions import place
from muxi_sandbox.egress.contract import Destination, Peer, Verdict

if TYPE_CHECKING:
    from muxi_runtime.gateway.labels import LabelBook
    from muxi_runtime.gateway.task_labels import TaskLabels
    from muxi_runtime.gateway.tasks import TaskRegistry

__all__ = ["BROKEN", "NO_TASK", "EgressGate", "label_flows"]

logger = logging.getLogger(__name__)

NO_TASK = "no-task"
"""Stands for a rule where nobody's task asks."""

MOST_CALLS = 20
"""Of those that may have made a connection, so many are named."""

BROKEN = "gate-failed"
"""Stands for a rule where the decision itself failed."""


def _no_calls(_task: str, _server: str) -> Sequence[str]:
    return ()


def _nobody(_task: str) -> Principal | None:
    return None


def _nothing(_task: str) -> frozenset[str]:
    return frozenset()


async def _unlabelled(_task: str, _server: str, _host: str, _port: int) -> None:
    """No task is open yet."""


class EgressGate:
    """A `Gatekeeper`. Until `principal_of` is set, every connection is refused."""

    def __init__(
        self, *, policy: Policy, journal: Journal, built_in: Callable[[str], bool], approvals: Approvals | None = None
    ) -> None:
        """`built_in` tells whether a server comes with this runtime. Without `approvals` a question is a refusal."""
        self._approvals = approvals
        self._policy = policy
        self._journal = journal
        self._built_in = built_in
        self.calls_of: Callable[[str, str], Sequence[str]] = _no_calls
        """By task and server: the ids of the calls that its sandbox works for now."""
        self.principal_of: Callable[[str], Principal | None] = _nobody
        """Whose a task is; `None` for one that is no open task."""
        self.labels_of: Callable[[str], frozenset[str]] = _nothing
        """What a task has seen."""
        self.label: Callable[[str, str, str, int], Awaitable[None]] = _unlabelled
        """Given a task, a server, a host and a port: the task sees what the host sends."""

    async def decide(self, peer: Peer, destination: Destination) -> Verdict:
        """See `Gatekeeper.decide`."""
        try:
            return await self._decide(peer, destination)
        except Exception as error:  # the contract: whatever goes wrong in here is a refusal
            logger.exception("a connection could not be decided")
            return Verdict(
                allowed=False,
                rule=BROKEN,
                reason=f"The decision failed ({type(error).__name__}).",
                remedy="See the runtime's log.",
            )

    async def _decide(self, peer: Peer, destination: Destination) -> Verdict:
        principal = self.principal_of(peer.task)
        if principal is None:
            return Verdict(
                allowed=False,
                rule=NO_TASK,
                reason="The sandbox belongs to no open task, as while the tools of its server are listed.",
                remedy="Connect from a tool call.",
            )
        request = Connection(
            principal=principal,
            server=peer.server,
            host=destination.host,
            port=destination.port,
            task=peer.task,
            scheme=destination.scheme,
            built_in=self._built_in(peer.server),
            labels=self.labels_of(peer.task),
        )
        decision = self._policy.decide(request)
        if decision.effect is Effect.ASK and self._approvals is not None:
            return await _asked(self._approvals, wanted_connection(request, decision), decision)
        return _verdict(decision)

    async def tell(self, peer: Peer, kind: str, facts: Mapping[str, Any]) -> None:
        """See `Gatekeeper.tell`.

        Raises:
            JournalError: it could not be made durable.
            ValueError: a kind that the journal does not know.
        """
        if kind == "egress.decided":
            if facts.get("allowed"):
                # Before the first byte comes. What a label forbids from now on was decided about already.
                await self.label(peer.task, peer.server, facts["host"], facts["port"])
            await self._append("egress.decided", peer, facts)
        elif kind == "egress.closed":
            await self.label(peer.task, peer.server, facts["host"], facts["port"])
            await self._append("egress.closed", peer, facts)
        elif kind == "secret.used":
            await self._append("secret.used", peer, facts)
        elif kind == "secret.refused":
            await self._append("secret.refused", peer, facts)
        else:
            raise ValueError(f"{kind!r} is no event of the egress proxy")

    async def _append(self, kind: str, peer: Peer, facts: Mapping[str, Any]) -> None:
        principal = self.principal_of(peer.task)
        calls = self.calls_of(peer.task, peer.server)
        call = calls[0] if len(calls) == 1 else None
        data = {"server": peer.server, "sandbox": peer.sandbox, **facts}
        if len(calls) > 1:  # which of them it is for, nobody outside of the sandbox can tell
            data["calls"] = list(calls[:MOST_CALLS])
        await self._journal.append(
            Draft(kind, principal=str(principal) if principal else None, task=peer.task, call=call, data=data)
        )


async def _asked(approvals: Approvals, wanted: Wanted, decision: Decision) -> Verdict:
    """What a person has allowed before; else a refusal, and a question that waits for the next time."""
    used = await approvals.use(wanted)
    if used is not None:
        return Verdict(allowed=True, rule=decision.rule, reason=f"Allowed by {used.id}.")
    approval = await approvals.request(wanted)
    return Verdict(
        allowed=False,
        rule=decision.rule,
        reason=f"{decision.reason} A connection cannot wait for a person's answer.",
        remedy=f"`muxi-runtime approvals allow {approval.id} --for task` lets later ones through.",
    )


def _verdict(decision: Decision) -> Verdict:
    if decision.effect is Effect.ASK:
        return Verdict(
            allowed=False,
            rule=decision.rule,
            reason=f"{decision.reason} A connection cannot wait for a person's answer.",
            remedy="Permit it by a rule, or do it in a task to which the rule does not apply.",
        )
    return Verdict(
        allowed=decision.effect is Effect.ALLOW, rule=decision.rule, reason=decision.reason, remedy=decision.remedy
    )


def label_flows(gate: EgressGate, tasks: TaskRegistry, book: LabelBook, labels: TaskLabels) -> None:
    """Have the gate know what tasks have seen, and have them labelled by what they connect to."""

    def labels_of(task: str) -> frozenset[str]:
        found = tasks.find(task)
        return frozenset(found.labels) if found else frozenset()

    async def label(task: str, server: str, host: str, port: int) -> None:
        found = tasks.find(task)
        if found is not None:
            await labels.add(found, book.of_host(host, port), source=f"{server} {place(host, port)}")

    gate.labels_of, gate.label = labels_of, label
