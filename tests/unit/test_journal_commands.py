from __future__ import annotations

import json
import sqlite3

import pytest
from click.testing import CliRunner

from muxi_runtime.cli.exit_codes import ExitCode
from muxi_runtime.cli.main import program
from muxi_runtime.store.engine import database_path


@pytest.fixture
def run(tmp_path):
    def run(*arguments):
        return CliRunner().invoke(program, ["--home", str(tmp_path), *arguments])

    return run


def test_a_key_is_shown_once_and_its_life_is_journalled(run):
    created = json.loads(
        run("keys", "create", "--user", "ada", "--name", "laptop", "--expires", "30d", "--json").stdout
    )
    listed = run("keys", "list")
    assert created["id"] in listed.stdout
    assert created["token"].rsplit("_", 1)[1] not in listed.stdout + run("keys", "list", "--json").stdout
    assert run("keys", "revoke", created["id"]).exit_code == ExitCode.OK
    events = [json.loads(line) for line in run("journal", "search", "--kind", "key", "--json").stdout.splitlines()]
    assert [(event["kind"], event["data"]["key"]) for event in events] == [
        ("key.created", created["id"]),
        ("key.revoked", created["id"]),
    ]
    assert created["token"].rsplit("_", 1)[1] not in json.dumps(events)
    assert json.loads(run("keys", "list", "--json").stdout)["keys"][0]["state"] == "revoked"


def test_people_see_the_key_with_a_word_that_it_is_shown_once(run):
    result = run("keys", "create")
    assert "muxi_" in result.stdout
    assert "not shown again" in result.stdout


@pytest.mark.parametrize("options", [["--expires", "soon"], ["--user", "a/b"], ["--expires", "2020-01-01"]])
def test_a_wrong_option_is_a_usage_error_and_makes_no_key(run, options):
    assert run("keys", "create", *options).exit_code == ExitCode.USAGE
    assert json.loads(run("keys", "list", "--json").stdout) == {"keys": []}


def test_a_key_that_cannot_be_journalled_does_not_work(run, tmp_path):
    run("keys", "list")
    _execute(tmp_path, "ALTER TABLE journal RENAME TO elsewhere")
    result = run("keys", "create", "--json")
    assert result.exit_code != ExitCode.OK
    assert "muxi_" not in result.stdout
    _execute(tmp_path, "ALTER TABLE elsewhere RENAME TO journal")
    assert json.loads(run("keys", "list", "--json").stdout)["keys"][0]["state"] == "revoked"


def test_tail_shows_so_many_and_search_fits_its_options(run):
    for _ in range(5):
        run("keys", "create")
    assert len(run("journal", "tail", "-n", "2").stdout.splitlines()) == 2
    assert len(run("journal", "search", "--since", "1h", "--after", "1", "--limit", "3").stdout.splitlines()) == 3
    assert run("journal", "search", "--until", "1h").stdout == ""
    assert run("journal", "search", "--since", "yesterday-ish").exit_code == ExitCode.USAGE


def test_verify_prints_the_head_and_fails_for_a_changed_line(run, tmp_path):
    run("keys", "create")
    run("keys", "create")
    sound = run("journal", "verify", "--json")
    head = json.loads(sound.stdout)["head"]
    assert sound.exit_code == ExitCode.OK
    assert run("journal", "verify", "--expect", head).exit_code == ExitCode.OK
    _execute(tmp_path, "UPDATE journal SET principal = 'eve' WHERE seq = 1")
    broken = run("journal", "verify", "--json")
    assert broken.exit_code == ExitCode.FAILED
    assert json.loads(broken.stdout)["broken"]["seq"] == 1
    assert "event 1: it was changed" in run("journal", "verify").stdout


def test_verify_fails_for_a_recorded_loss_unless_it_is_allowed(run, tmp_path):
    run("keys", "create")
    run("keys", "create")
    _execute(tmp_path, "DELETE FROM journal WHERE seq = 2")
    assert run("journal", "verify").exit_code == ExitCode.FAILED
    run("keys", "create")
    assert run("journal", "verify").exit_code == ExitCode.FAILED
    assert run("journal", "verify", "--allow-recorded-loss").exit_code == ExitCode.OK


@pytest.mark.parametrize("expect", ["1", "x:y", "1:00", ":"])
def test_a_head_that_is_none_is_a_usage_error(run, expect):
    assert run("journal", "verify", "--expect", expect).exit_code == ExitCode.USAGE


def _execute(home, sql):
    with sqlite3.connect(database_path(home)) as connection:
        connection.execute(sql)
    connection.close()
