"""Rules that are replaced while they decide, and what the journal can say of a decision afterwards."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from muxi_runtime.cli.main import program
from muxi_runtime.errors import ConfigError, RefusedError
from muxi_runtime.identity.principal import Principal
from muxi_runtime.journal.contract import Draft
from muxi_runtime.journal.settings import JournalSettings
from muxi_runtime.journal.writer import ChainWriter
from muxi_runtime.policy.contract import Effect, ToolCall
from muxi_runtime.policy.live import LivePolicy, stamp
from muxi_runtime.policy.settings import PolicySettings
from muxi_runtime.store.engine import database_path, open_store

ALL = '@id("all") @reason("Anything goes.") permit (principal, action == Action::"call_tool", resource);'
NONE = '@id("none") @reason("Nothing goes.") forbid (principal, action == Action::"call_tool", resource);'
CALL = ToolCall(Principal("ada"), "demo", "add", "t-1")


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    path = tmp_path / "rules.cedar"
    path.write_text(ALL)
    return path


@pytest.fixture
def policy(rules: Path) -> LivePolicy:
    return LivePolicy(lambda: PolicySettings(files=(rules,)))


def test_a_reload_takes_what_is_on_disk(policy: LivePolicy, rules: Path) -> None:
    assert policy.decide(CALL).effect is Effect.ALLOW
    rules.write_text(ALL + NONE)
    assert policy.decide(CALL).effect is Effect.ALLOW
    assert policy.reload()
    assert (policy.decide(CALL).effect, policy.decide(CALL).rule) == (Effect.DENY, "none")


@pytest.mark.parametrize("wrong", ["permit (principal", "@id('x') permit", ALL + "forbid (principal, action);", "\xff"])
def test_wrong_rules_change_nothing_and_say_where(policy: LivePolicy, rules: Path, wrong: str) -> None:
    rules.write_bytes(f"\n{wrong}".encode("latin-1"))
    with pytest.raises(ConfigError, match=r"rules\.cedar"):
        policy.reload()
    assert policy.decide(CALL).effect is Effect.ALLOW
    rules.unlink()
    with pytest.raises(ConfigError, match=r"rules\.cedar"):
        policy.reload()
    assert policy.decide(CALL).rule == "all"


def test_the_same_rules_are_no_change(policy: LivePolicy, rules: Path) -> None:
    rules.write_text(f"// a word\n{ALL}\n")
    assert not policy.reload()


def test_another_list_of_files_is_taken(rules: Path, tmp_path: Path) -> None:
    files = [rules]
    policy = LivePolicy(lambda: PolicySettings(files=tuple(files)))
    more = tmp_path / "more.cedar"
    more.write_text(NONE)
    files.append(more)
    assert policy.reload()
    assert (list(policy.files), policy.decide(CALL).rule) == ([rules, more], "none")


def test_a_change_of_a_file_is_seen_and_a_missing_one_is_no_error(rules: Path, tmp_path: Path) -> None:
    before = stamp([rules, tmp_path / "none"])
    assert before == stamp([rules, tmp_path / "none"])
    os.utime(rules, (1, 1))
    assert stamp([rules, tmp_path / "none"]) != before


def test_a_file_that_is_written_while_it_is_read_is_not_taken(rules: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    policy = LivePolicy(lambda: PolicySettings(files=(rules,)))
    rules.write_text(ALL + NONE)
    read = Path.read_text

    def written_meanwhile(path: Path, **options: str) -> str:
        text = read(path, **options)
        rules.write_text(ALL + NONE + NONE.replace("none", "more"))
        return text

    monkeypatch.setattr(Path, "read_text", written_meanwhile)
    with pytest.raises(ConfigError, match="while it was read"):
        policy.reload()
    assert policy.decide(CALL).effect is Effect.ALLOW


@pytest.fixture
def home(tmp_path: Path, rules: Path) -> Path:
    home = tmp_path / "home"
    open_store(home).dispose()
    (home / "muxi.yaml").write_text(json.dumps({"policy": {"files": [str(rules)]}}))
    return home


def write(home: Path, *drafts: Draft) -> None:
    writer = ChainWriter(database_path(home), JournalSettings())
    writer.append(drafts)
    writer.close()


def decided(call: str, rule: str = "all") -> Draft:
    facts = {"server": "demo", "tool": "add", "effect": "allow", "rule": rule, "seconds": 0.1}
    return Draft("call.decided", "ada", "t-1", call, facts)


def why(home: Path, wanted: str) -> list[dict]:
    shown = CliRunner().invoke(program, ["--home", str(home), "policy", "why", wanted, "--json"])
    if shown.exception:
        raise shown.exception
    return json.loads(shown.stdout)["decisions"]


def test_a_decision_of_the_past_shows_its_rule_and_that_it_still_holds(home: Path, policy: LivePolicy) -> None:
    finished = Draft("call.finished", "ada", "t-1", "c-1", {"server": "demo", "tool": "add"})
    write(home, Draft("policy.loaded", data={"digest": policy.rules.digest}), decided("c-1"), finished)
    for wanted in ("2", "3", "c-1"):
        (found,) = why(home, wanted)
        assert (found["event"]["seq"], found["rule"]["text"], found["same_rules"]) == (2, ALL, True)


def test_rules_that_changed_since_are_said_to_have(home: Path, policy: LivePolicy, rules: Path) -> None:
    loaded = Draft("policy.loaded", data={"digest": policy.rules.digest})
    write(home, decided("c-0"), loaded, decided("c-1"), Draft("policy.loaded", data={"digest": "other"}))
    rules.write_text(NONE)
    (before,), (found,) = why(home, "c-0"), why(home, "c-1")
    assert before["rules_then"] is None
    assert (found["rules_then"], found["same_rules"], found["rule"]) == (policy.rules.digest, False, None)
    shown = CliRunner().invoke(program, ["--home", str(home), "policy", "why", "c-1"])
    assert "others than now" in shown.stdout
    assert "none of this id is there now" in shown.stdout


@pytest.mark.parametrize("wanted", ["c-404", "404", "1"])
def test_what_was_no_decision_is_refused(home: Path, wanted: str) -> None:
    write(home, Draft("key.created", "local"))
    with pytest.raises(RefusedError, match="no decision"):
        why(home, wanted)
