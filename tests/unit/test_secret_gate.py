"""What the runtime answers the egress proxy about secrets, and what sandboxes of a server are given."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from muxi_runtime.catalog.manifest import Manifest
from muxi_runtime.errors import UnknownSecretError
from muxi_runtime.gateway.egress import BROKEN, NO_TASK, EgressGate
from muxi_runtime.gateway.kept import KeptTask, KeptTasks
from muxi_runtime.gateway.secret_book import SecretBook
from muxi_runtime.gateway.secret_gate import MISSING, UNREADABLE, SecretGate
from muxi_runtime.gateway.specs import SpecBook
from muxi_runtime.identity.principal import Principal
from muxi_runtime.journal.memory import MemoryJournal
from muxi_runtime.policy.cedar import CedarPolicy
from muxi_runtime.policy.contract import Effect, SecretUse
from muxi_runtime.policy.explain import explain
from muxi_runtime.policy.rules import parse_rules
from muxi_runtime.policy.settings import PolicySettings
from muxi_runtime.store.engine import database_path, open_store
from muxi_runtime.vault.key_file import KeyFile
from muxi_runtime.vault.needs import check_secrets
from muxi_runtime.vault.placeholders import placeholder
from muxi_runtime.vault.store import Vault
from muxi_sandbox.contract import KeptSandbox, Spec
from muxi_sandbox.egress.contract import Destination, Peer

VALUE = "a value of eight or more"
PEER = Peer("t-1", "web", "c0ffee", ("api.test:443",))
THERE = Destination("api.test", 443, "connect")
SEEN = frozenset({"private"})
PERMIT = '@id("any") permit (principal, action, resource);'
MANIFEST = {
    "name": "web",
    "image": "web:1",
    "environment": {"PLAIN": "yes"},
    "profile": {
        "network": {"allow": ["api.test", "*.test"]},
        "secrets": {"TOKEN": {"hosts": ["API.test"], "places": ["header", "query"]}, "SEEN": {"expose": "env"}},
    },
}


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = open_store(tmp_path)
    yield engine
    engine.dispose()


@pytest.fixture
def vault(engine: Engine, tmp_path: Path) -> Vault:
    vault = Vault(engine, KeyFile(tmp_path / "vault.key"))
    vault.set("TOKEN", VALUE)
    return vault


def gate(vault: Vault, *texts: str, tasks: Mapping[str, Principal] | None = None) -> SecretGate:
    rules, problems = parse_rules({f"{number}.cedar": text for number, text in enumerate(texts)})
    assert problems == []
    policy = CedarPolicy(rules) if texts else CedarPolicy.load(PolicySettings())
    known = {"t-1": Principal("ada", "k1")} if tasks is None else tasks
    return SecretGate(
        policy=policy,
        vault=vault,
        principal_of=known.get,
        labels_of=lambda _: SEEN,
        built_in=lambda name: name == "code",
    )


async def test_what_the_profile_names_is_granted_by_the_shipped_rule(vault: Vault) -> None:
    grant = await gate(vault).grant(PEER, "TOKEN", THERE)
    assert (grant.verdict.allowed, grant.verdict.rule) == (True, "secrets-of-the-profile")
    assert grant.value == VALUE
    assert VALUE not in repr(grant)


async def test_a_new_value_is_given_from_the_next_connection_on(vault: Vault) -> None:
    made = gate(vault)
    await made.grant(PEER, "TOKEN", THERE)
    vault.replace("TOKEN", "a newer value")
    assert (await made.grant(PEER, "TOKEN", THERE)).value == "a newer value"
    assert await made.values(["TOKEN", "OTHER"]) == {"TOKEN": "a newer value"}


@pytest.mark.promise("secrets-are-decided")
async def test_a_rule_sees_whose_task_of_which_server_sends_what_where(vault: Vault) -> None:
    refused = (
        '@id("no") forbid (principal == User::"ada", action == Action::"use_secret", resource == Secret::"TOKEN")'
        ' when { context.task == "t-1" && context.server == Server::"web" && !context.server.built_in'
        ' && context.host == Host::"api.test:443" && context.labels.contains("private")'
        ' && context has key && context.key == "k1" };'
    )
    grant = await gate(vault, PERMIT, refused).grant(PEER, "TOKEN", THERE)
    assert (grant.verdict.allowed, grant.verdict.rule, grant.value) == (False, "no", "")
    other = await gate(vault, PERMIT, refused).grant(PEER, "TOKEN", Destination("b.test", 443, "connect"))
    assert other.verdict.allowed


@pytest.mark.promise("secrets-are-decided")
@pytest.mark.parametrize(
    ("texts", "tasks", "rule"),
    [
        ((PERMIT, '@id("q") @decision("ask") forbid (principal, action, resource);'), None, "q"),
        (('permit (principal, action == Action::"connect", resource);',), None, "default-deny"),
        ((PERMIT,), {}, NO_TASK),
    ],
)
async def test_a_question_no_rule_and_nobody_s_task_are_refusals(vault: Vault, texts, tasks, rule: str) -> None:
    grant = await gate(vault, *texts, tasks=tasks).grant(PEER, "TOKEN", THERE)
    assert (grant.verdict.allowed, grant.verdict.rule, grant.value) == (False, rule, "")
    assert grant.verdict.reason
    assert grant.verdict.remedy


@pytest.mark.promise("secrets-fail-closed")
async def test_what_is_missing_or_unreadable_is_refused_with_what_to_do(vault: Vault, tmp_path: Path) -> None:
    missing = (await gate(vault).grant(PEER, "OTHER", THERE)).verdict
    assert (missing.allowed, missing.rule) == (False, MISSING)
    assert "secrets set OTHER" in missing.remedy
    (tmp_path / "vault.key").chmod(0o644)
    unreadable = await gate(vault).grant(PEER, "TOKEN", THERE)
    assert (unreadable.verdict.allowed, unreadable.verdict.rule, unreadable.value) == (False, UNREADABLE, "")


@pytest.mark.promise("secrets-fail-closed")
async def test_a_decision_that_breaks_is_a_refusal(vault: Vault) -> None:
    def broken(_task: str) -> Principal:
        raise RuntimeError("broken")

    policy = CedarPolicy.load(PolicySettings())
    made = SecretGate(
        policy=policy, vault=vault, principal_of=broken, labels_of=lambda _: SEEN, built_in=lambda _: False
    )
    assert (await made.grant(PEER, "TOKEN", THERE)).verdict.rule == BROKEN


@pytest.mark.promise("secrets-are-decided")
async def test_uses_and_refusals_are_journalled_with_whose_task_it_was() -> None:
    journal = MemoryJournal()
    gate = EgressGate(policy=CedarPolicy.load(PolicySettings()), journal=journal, built_in=lambda _: False)
    gate.principal_of = {"t-1": Principal("ada", "k1")}.get
    async with journal:
        for kind in ("secret.used", "secret.refused"):
            await gate.tell(PEER, kind, {"name": "TOKEN", "host": "api.test"})
    found = [(event.kind, event.principal, event.task, event.data["name"]) for event in journal.events]
    assert found == [
        ("secret.used", "ada/k1", "t-1", "TOKEN"),
        ("secret.refused", "ada/k1", "t-1", "TOKEN"),
    ]


def test_explain_says_what_would_be_decided() -> None:
    policy = CedarPolicy.load(PolicySettings())
    found = explain(policy, SecretUse(Principal(), "web", "TOKEN", "api.test", 443, "t-1"))
    assert found.decision.effect is Effect.ALLOW
    assert (found.facts["secret"], found.facts["host"]) == ("TOKEN", "api.test:443")


def spec_of(book: SecretBook | None) -> Any:
    manifest = Manifest.model_validate(MANIFEST)
    return SpecBook({"web": manifest}, lambda name: name, book).spec("t-1", "web")


@pytest.mark.promise("secrets-not-inside")
def test_a_spec_holds_placeholders_and_only_what_is_exposed(vault: Vault) -> None:
    vault.set("SEEN", "an exposed value")
    spec = spec_of(SecretBook("i-1", vault))
    standing = placeholder("i-1", "web", "TOKEN")
    assert spec.environment == {"PLAIN": "yes", "TOKEN": standing, "SEEN": "an exposed value"}
    (route,) = spec.secrets
    assert (route.name, route.placeholder, route.hosts) == ("TOKEN", standing, ("api.test:443",))
    assert VALUE not in repr(spec)


def test_placeholders_differ_by_installation_server_and_name() -> None:
    made = {placeholder(*parts) for parts in (("a", "b", "C"), ("x", "b", "C"), ("a", "x", "C"), ("a", "b", "X"))}
    assert len(made) == 4
    assert placeholder("a", "b", "C") == placeholder("a", "b", "C")


def test_an_exposed_secret_that_is_not_set_keeps_the_server_from_starting(vault: Vault) -> None:
    assert isinstance(spec_of(SecretBook("i-1", vault)), UnknownSecretError)


@pytest.mark.promise("secrets-not-inside")
def test_a_server_that_is_only_tried_gets_no_value_and_no_route(vault: Vault) -> None:
    vault.set("SEEN", "an exposed value")
    spec = spec_of(None)
    assert spec.environment["SEEN"].startswith("muxi-secret-")
    assert (spec.secrets, spec.exposed) == ((), ())


@pytest.mark.promise("secrets-are-encrypted")
def test_a_kept_task_writes_no_exposed_value_down(vault: Vault, engine: Engine, tmp_path: Path) -> None:
    vault.set("SEEN", "an exposed value")
    spec: Spec = spec_of(SecretBook("i-1", vault))
    KeptTasks(engine).put(KeptTask("t-1", Principal(), "c", None, 0, (KeptSandbox("n", "i", spec),)))
    (kept,) = KeptTasks(engine).all()
    assert kept.sandboxes[0].spec.secrets == spec.secrets
    assert "SEEN" not in kept.sandboxes[0].spec.environment
    files = [path for path in tmp_path.iterdir() if path.name.startswith(database_path(tmp_path).name)]
    assert b"an exposed value" not in b"".join(path.read_bytes() for path in files)


def test_status_says_what_is_missing_and_how_to_set_it(vault: Vault, tmp_path: Path) -> None:
    servers = {"web": Manifest.model_validate(MANIFEST)}
    (check,) = check_secrets(servers, vault)
    assert check.ok
    assert (check.detail, check.cure) == ("warning: not set: SEEN, for web", "`muxi-runtime secrets set SEEN`.")
    vault.set("SEEN", "an exposed value")
    (check,) = check_secrets(servers, vault)
    assert (check.ok, check.detail) == (True, "SEEN, TOKEN for web")
    (tmp_path / "vault.key").unlink()
    (check,) = check_secrets(servers, vault)
    assert not check.ok
    assert check_secrets({}, vault) == []
    assert VALUE not in json.dumps([check.detail, check.cure])
