"""`muxi-runtime secrets`: no value in what is printed or journalled, and none from the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from muxi_runtime.cli.exit_codes import ExitCode
from muxi_runtime.cli.main import program
from muxi_runtime.store.engine import open_store
from muxi_runtime.vault.key_file import KeyFile
from muxi_runtime.vault.store import Vault

VALUE = "a value of eight or more"
Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    def run(*arguments: str, value: str | None = None) -> Result:
        return CliRunner().invoke(program, ["--home", str(tmp_path), "secrets", *arguments], input=value)

    return run


def value_in(home: Path, name: str) -> str:
    engine = open_store(home)
    try:
        return Vault(engine, KeyFile(home / "vault.key")).value(name)
    finally:
        engine.dispose()


def events(home: Path) -> list[dict[str, object]]:
    found = CliRunner().invoke(program, ["--home", str(home), "journal", "search", "--kind", "secret", "--json"])
    return [json.loads(line) for line in found.stdout.splitlines()]


@pytest.mark.promise("secrets-are-never-shown")
def test_a_value_is_taken_from_standard_input_and_never_printed_or_journalled(run: Run, tmp_path: Path) -> None:
    results = [
        run("set", "TOKEN", value=f"{VALUE}\n"),
        run("set", "OTHER", "--json", value=VALUE),
        run("rotate", "OTHER", value=f"{VALUE} two\r\n"),
        run("list"),
        run("list", "--json"),
        run("rotate", "--key"),
        run("remove", "TOKEN"),
    ]
    assert [result.exit_code for result in results] == [ExitCode.OK] * 7
    assert value_in(tmp_path, "OTHER") == f"{VALUE} two"
    kinds = [(event["kind"], event["data"]) for event in events(tmp_path)]
    assert kinds == [
        ("secret.set", {"name": "TOKEN"}),
        ("secret.set", {"name": "OTHER"}),
        ("secret.rotated", {"name": "OTHER"}),
        ("secret.key_rotated", {}),
        ("secret.removed", {"name": "TOKEN"}),
    ]
    assert VALUE not in "".join(result.output for result in results) + json.dumps(events(tmp_path))


def test_list_shows_who_uses_a_secret_for_what_and_what_is_missing(run: Run, tmp_path: Path) -> None:
    (tmp_path / "muxi.yaml").write_text("""
servers:
  shell:
    network: {allow: ["a.test:443"]}
    secrets: {TOKEN: {hosts: [a.test]}, SEEN: {expose: env}}
""")
    run("set", "TOKEN", value=VALUE)
    shown = run("list").stdout
    assert "shell for a.test (header)" in shown
    assert "shell, which sees the value" in shown
    found = {one["name"]: one for one in json.loads(run("list", "--json").stdout)["secrets"]}
    assert (found["TOKEN"]["set"], found["SEEN"]["set"]) == (True, False)
    assert found["TOKEN"]["uses"][0]["server"] == "shell"


@pytest.mark.parametrize(
    ("arguments", "value", "code"),
    [
        (("set", "token"), VALUE, ExitCode.USAGE),
        (("set", "TOKEN"), "short", ExitCode.USAGE),
        (("set", "TOKEN", "value-as-an-argument"), VALUE, ExitCode.USAGE),
        (("rotate",), VALUE, ExitCode.USAGE),
        (("rotate", "TOKEN", "--key"), VALUE, ExitCode.USAGE),
    ],
)
def test_what_cannot_be_done_is_not_done_or_journalled(
    run: Run, tmp_path: Path, arguments: tuple[str, ...], value: str, code: ExitCode
) -> None:
    result = run(*arguments, value=value)
    assert result.exit_code == code
    assert value not in result.output
    assert events(tmp_path) == []


@pytest.mark.parametrize("command", ["rotate", "remove"])
def test_one_that_is_not_set_can_neither_be_rotated_nor_removed(run: Run, tmp_path: Path, command: str) -> None:
    result = run(command, "TOKEN", value=VALUE)
    assert "secrets set TOKEN" in str(result.exception)
    assert events(tmp_path) == []


@pytest.mark.promise("secrets-are-never-shown")
def test_a_change_that_cannot_be_journalled_is_not_made(run: Run, tmp_path: Path) -> None:
    run("set", "TOKEN", value=VALUE)
    engine = open_store(tmp_path)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TRIGGER full BEFORE INSERT ON journal BEGIN SELECT RAISE(ABORT, 'x'); END")
    engine.dispose()
    assert run("set", "TOKEN", value="another value").exit_code != ExitCode.OK
    assert value_in(tmp_path, "TOKEN") == VALUE
