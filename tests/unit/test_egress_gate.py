"""What the runtime answers a sandbox's egress proxy, and what of it is in the journal."""

from __future__ import annotations

from dataclasses import replace

import pytest

from muxi_runtime.errors import JournalError
from muxi_runtime.gateway.egress import BROKEN, NO_TASK, EgressGate
from muxi_runtime.identity.principal import Principal
from muxi_runtime.journal.memory import MemoryJournal
from muxi_runtime.policy.approval_desk import Approvals
from muxi_runtime.policy.approval_store import ApprovalStore
from muxi_runtime.policy.approvals import Scope
from muxi_runtime.policy.cedar import CedarPolicy
from muxi_runtime.policy.rules import parse_rules
from muxi_runtime.policy.settings import PolicySettings
from muxi_runtime.store.engine import open_store
from muxi_sandbox.egress.contract import Destination, Peer, Verdict

ADA = Principal("ada", "k1")
PEER = Peer(task="t-1", server="web", sandbox="c0ffee", allow=("example.com:443",))
THERE = Destination("example.com", 443, "connect")
PERMIT = '@id("any") permit (principal, action, resource);'


def gate(
    *texts: str, journal: MemoryJournal | None = None, task: str = "t-1", approvals: Approvals | None = None
) -> EgressGate:
    rules, problems = parse_rules({f"{number}.cedar": text for number, text in enumerate(texts)})
    assert problems == []
    policy = CedarPolicy(rules) if texts else CedarPolicy.load(PolicySettings())
    journal = journal or MemoryJournal()
    made = EgressGate(policy=policy, journal=journal, built_in=lambda name: name == "code", approvals=approvals)
    made.principal_of = {task: ADA}.get
    return made


async def test_what_the_policy_permits_is_let_through() -> None:
    verdict = await gate().decide(PEER, THERE)
    assert verdict == Verdict(allowed=True, rule="hosts-of-the-profile", reason="The server's profile names this host.")


async def test_the_policy_sees_whose_task_of_which_server_wants_where() -> None:
    refused = (
        '@id("no") forbid (principal == User::"ada", action == Action::"connect", resource == Host::"example.com:443")'
        ' when { context.task == "t-1" && context.server == Server::"web" && !context.server.built_in'
        ' && context.scheme == "connect" && context has key && context.key == "k1" };'
    )
    verdict = await gate(PERMIT, refused).decide(PEER, THERE)
    assert (verdict.allowed, verdict.rule) == (False, "no")
    assert verdict.remedy
    assert (await gate(PERMIT, refused).decide(PEER, Destination("example.com", 80, "http"))).allowed


async def test_a_question_is_a_refusal_that_says_why() -> None:
    asking = '@id("ask") @decision("ask") @reason("Hm.") forbid (principal, action == Action::"connect", resource);'
    verdict = await gate(PERMIT, asking).decide(PEER, THERE)
    assert (verdict.allowed, verdict.rule) == (False, "ask")
    assert "cannot wait for a person" in verdict.reason
    assert verdict.remedy


@pytest.mark.promise("approvals-are-bound")
async def test_a_question_waits_and_what_was_allowed_lets_later_connections_to_that_host_through(tmp_path) -> None:
    asking = '@id("ask") @decision("ask") @reason("Hm.") forbid (principal, action == Action::"connect", resource);'
    engine = open_store(tmp_path)
    async with MemoryJournal() as journal:
        approvals = Approvals(ApprovalStore(engine), journal, seconds=60)
        asked = gate(PERMIT, asking, approvals=approvals)
        for _ in range(2):
            verdict = await asked.decide(PEER, THERE)
            assert not verdict.allowed
        (waiting,) = await approvals.of(ADA)
        assert waiting.id in verdict.remedy
        await approvals.answer(waiting.id, ADA, allow=True, scope=Scope.TASK, how="control")
        for _ in range(2):
            assert (await asked.decide(PEER, THERE)).allowed
        for elsewhere in (Destination("example.com", 80, "http"), Destination("example.org", 443, "connect")):
            assert not (await asked.decide(PEER, elsewhere)).allowed
        assert not (await asked.decide(replace(PEER, server="mail"), THERE)).allowed
    engine.dispose()


@pytest.mark.promise("egress-is-decided")
async def test_a_sandbox_of_no_open_task_reaches_nothing() -> None:
    verdict = await gate(task="t-2").decide(PEER, THERE)
    assert (verdict.allowed, verdict.rule) == (False, NO_TASK)


@pytest.mark.promise("egress-is-decided")
async def test_a_decision_that_fails_is_a_refusal() -> None:
    broken = gate()

    def fail(_task: str) -> Principal:
        raise RuntimeError("no such table")

    broken.principal_of = fail
    verdict = await broken.decide(PEER, THERE)
    assert (verdict.allowed, verdict.rule) == (False, BROKEN)


@pytest.mark.promise("egress-is-decided")
async def test_each_decision_is_in_the_journal_with_its_principal() -> None:
    journal = MemoryJournal()
    async with journal:
        await gate(journal=journal).tell(PEER, "egress.decided", {"host": "example.com", "port": 443, "rule": "r"})
    (event,) = journal.events
    assert (event.kind, event.principal, event.task) == ("egress.decided", "ada/k1", "t-1")
    assert event.data == {
        "server": "web",
        "sandbox": "c0ffee",
        "host": "example.com",
        "port": 443,
        "rule": "r",
    }


@pytest.mark.promise("egress-is-decided")
async def test_what_cannot_be_journalled_is_an_error() -> None:
    with pytest.raises(JournalError):
        await gate(journal=MemoryJournal()).tell(PEER, "egress.decided", {})


async def test_an_event_that_the_journal_does_not_know_is_an_error() -> None:
    with pytest.raises(ValueError, match="no event"):
        await gate().tell(PEER, "egress.other", {})


@pytest.mark.promise("private-data-does-not-leak")
async def test_a_task_that_has_seen_both_connects_nowhere() -> None:
    shut = gate()
    for seen in ({"private"}, {"untrusted"}):
        shut.labels_of = {"t-1": frozenset(seen)}.__getitem__
        assert (await shut.decide(PEER, THERE)).allowed
    shut.labels_of = {"t-1": frozenset({"private", "untrusted"})}.__getitem__
    verdict = await shut.decide(PEER, THERE)
    assert (verdict.allowed, verdict.rule) == (False, "no-connection-that-leaks")


@pytest.mark.promise("private-data-does-not-leak")
async def test_a_task_is_labelled_before_a_connection_is_made_and_not_by_a_refused_one() -> None:
    labelled: list[tuple[str, str, str, int]] = []

    async def label(*what: str | int) -> None:
        labelled.append(what)  # type: ignore[arg-type]

    async with MemoryJournal() as journal:
        telling = gate(journal=journal)
        telling.label = label
        await telling.tell(PEER, "egress.decided", {"host": "example.com", "port": 443, "allowed": False})
        assert labelled == []
        await telling.tell(PEER, "egress.decided", {"host": "example.com", "port": 443, "allowed": True})
        assert labelled == [("t-1", "web", "example.com", 443)]


@pytest.mark.promise("private-data-does-not-leak")
async def test_a_connection_whose_label_cannot_be_kept_is_not_made() -> None:
    async def fail(*_: object) -> None:
        raise JournalError("no room")

    async with MemoryJournal() as journal:
        telling = gate(journal=journal)
        telling.label = fail
        with pytest.raises(JournalError):
            await telling.tell(PEER, "egress.decided", {"host": "example.com", "port": 443, "allowed": True})
        assert journal.events == []
