"""What carries which label, and what is kept of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from muxi_runtime.catalog.labels import LabelSettings
from muxi_runtime.catalog.manifest import Manifest
from muxi_runtime.catalog.settings import ServerSettings
from muxi_runtime.gateway.kept import KeptTask, KeptTasks
from muxi_runtime.gateway.labels import LabelBook
from muxi_runtime.gateway.subjects import Subject
from muxi_runtime.gateway.tools import Tool
from muxi_runtime.identity.principal import Principal
from muxi_runtime.policy.cedar import CedarPolicy
from muxi_runtime.policy.contract import Access, Effect
from muxi_runtime.policy.settings import PolicySettings
from muxi_runtime.store.engine import open_store

pytestmark = pytest.mark.promise("private-data-does-not-leak")

MANIFESTS = {
    "files": Manifest(name="files", image="build:python").model_copy(update={"built_in": True}),
    "added": Manifest(name="added", image="x@sha256:0"),
    "told": Manifest.model_validate({"name": "told", "image": "x", "labels": {"all": ["private"]}}),
    "far": Manifest(name="far", url="https://example.com/mcp"),
}


def book(servers: dict[str, dict[str, Any]] | None = None, **settings: Any) -> LabelBook:
    operators = {name: ServerSettings.model_validate({"labels": said}) for name, said in (servers or {}).items()}
    return LabelBook(manifests=lambda: MANIFESTS, servers=operators, settings=LabelSettings(**settings))


def tool(server: str, *, open_world: bool | None = None) -> Tool:
    hints = {} if open_world is None else {"annotations": {"openWorldHint": open_world}}
    return Tool.of(server, {"name": "get", **hints})


@pytest.mark.parametrize(
    ("server", "open_world", "labels"),
    [
        ("files", None, set()),
        ("added", None, {"untrusted"}),
        ("added", True, {"untrusted"}),
        ("added", False, set()),
        ("told", False, {"private"}),
        ("told", None, {"private", "untrusted"}),
        ("far", False, {"untrusted"}),
        ("gone", False, {"untrusted"}),
        ("muxi", None, set()),
    ],
)
def test_what_a_result_carries_when_nobody_says_more(server: str, labels: set[str], *, open_world: bool | None):
    assert set(book().of_result(tool(server, open_world=open_world), {})) == labels


@pytest.mark.parametrize("server", ["added", "told", "far"])
def test_resources_carry_what_is_not_excluded(server: str):
    assert "untrusted" in book().of_result(Subject(server, "resource", "x:y"), {})


def test_the_operator_has_the_last_word_for_a_server_and_for_a_tool():
    said = {"told": {"all": [], "tools": {"get": ["untrusted"]}}, "far": {"all": []}}
    assert set(book(said).of_result(tool("told"), {})) == {"untrusted"}
    assert book(said).of_result(Subject("told", "resource", "x:y"), {}) == {}
    assert book(said).of_result(tool("far"), {}) == {}


def test_hosts_are_untrusted_unless_the_operator_says_otherwise():
    known = book(trusted_hosts=("docs.example.com", "*.example.org:8443"), private_hosts=("crm.example.com",))
    assert set(known.of_host("example.com", 443)) == {"untrusted"}
    assert known.of_host("docs.example.com", 443) == {}
    assert set(known.of_host("docs.example.com", 8443)) == {"untrusted"}
    assert known.of_host("a.example.org", 8443) == {}
    assert set(known.of_host("crm.example.com", 443)) == {"private", "untrusted"}


@pytest.mark.parametrize(
    ("value", "is_private"),
    [
        ("customers/a.csv", True),
        ("/workspace/customers/deep/er/a", True),
        ({"commands": ["cat ./customers/a"]}, True),
        ("'customers/a'", True),
        ("old-customers/a", False),
        ("customersx/a", False),
        ("notes/plan.txt", True),
        ("notes/deep/plan.txt", False),
        (7, False),
    ],
)
def test_a_private_path_is_found_where_it_is_named(value: object, *, is_private: bool):
    assert bool(book(private_paths=("customers/**", "notes/*.txt")).of_text(value)) is is_private


@pytest.mark.parametrize(
    "wrong",
    [{"private_paths": ["/etc"]}, {"private_paths": ["**"]}, {"trusted_hosts": ["a b"]}, {"trusted_hosts": ["*"]}],
)
def test_settings_that_name_nothing_usable_are_refused(wrong: dict[str, Any]):
    with pytest.raises(ValidationError):
        LabelSettings.model_validate(wrong)


def test_what_a_kept_task_has_seen_survives_with_its_reason(tmp_path: Path):
    engine = open_store(tmp_path)
    labels = {"private": ("a clause", "crm.get", "c-1", "2026-01-01T00:00:00.000000Z")}
    kept = KeptTask("t-1", Principal(), "client", None, 1.0, (), None, labels)
    KeptTasks(engine).put(kept)
    assert KeptTasks(engine).all() == [kept]
    engine.dispose()


@pytest.mark.parametrize("kind", ["resource", "prompt"])
def test_to_ask_a_server_elsewhere_is_a_way_out(kind: Any):
    policy = CedarPolicy.load(PolicySettings())
    both = frozenset({"private", "untrusted"})
    for open_world, labels, effect in (
        (True, both, Effect.ASK),
        (False, both, Effect.ALLOW),
        (True, frozenset({"private"}), Effect.ALLOW),
    ):
        asked = Access(Principal(), "far", kind, "x:y", "t-1", labels=labels, open_world=open_world)
        assert policy.decide(asked).effect is effect


MAIL = {"structuredContent": {"sender": "ada@example.com"}, "content": []}


@pytest.mark.parametrize(
    ("server", "said", "labels"),
    [
        ("mail", None, set()),
        ("mail", {"all": ["untrusted"]}, {"untrusted"}),  # the operator has the last word
        ("added", None, {"untrusted"}),  # no field is named
        ("far", None, {"untrusted"}),  # who is elsewhere may say what they like
    ],
)
def test_only_a_manifest_s_field_of_a_server_in_a_sandbox_tells_whose_a_record_is(
    monkeypatch: pytest.MonkeyPatch, server: str, said: Any, labels: set[str]
) -> None:
    field = {"labels": {"origins": {"get": "sender"}}}
    mail = Manifest.model_validate({"name": "mail", "image": "x", **field})
    far = Manifest.model_validate({"name": "far", "url": "https://example.com/mcp", **field})
    monkeypatch.setitem(MANIFESTS, "mail", mail)
    monkeypatch.setitem(MANIFESTS, "far", far)
    found = book({server: said} if said else None, trusted_origins=("*@example.com",))
    assert set(found.of_result(tool(server), {}, MAIL)) == labels
    assert set(found.of_result(tool(server), {})) == {"untrusted"}
