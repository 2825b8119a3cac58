"""`muxi-runtime clients` as people and programs use it, in a home of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from muxi_runtime.cli.client_display import concealed
from muxi_runtime.cli.exit_codes import ExitCode
from muxi_runtime.setup.clients.known import KNOWN

PROGRAM = [sys.executable, "-P", "-c", "from muxi_runtime.cli.main import main; main()"]
KEY = "muxi_abcdefghijkl_" + "5" * 64
URL = "http://127.0.0.1:7890/mcp"


@pytest.fixture
def run(tmp_path):
    def start(*arguments: str, code: int = 0, **environ: str) -> str:
        kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
        done = subprocess.run(
            [*PROGRAM, "clients", *arguments],
            env={**kept, "HOME": str(tmp_path), "MUXI_HOME": str(tmp_path / "state"), **environ},
            capture_output=True,
            text=True,
            timeout=50,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        assert done.returncode == code, done.stderr
        return done.stdout + done.stderr

    return start


@pytest.fixture
def zed(tmp_path: Path) -> Path:
    path = tmp_path / ".config" / "zed" / "settings.json"
    path.parent.mkdir(parents=True)
    path.write_text('// mine\n{\n  "context_servers": {"other": {"headers": {"Authorization": "Bearer theirs"}}},\n}\n')
    return path


@pytest.mark.parametrize("client", KNOWN)
def test_every_client_is_set_up_once_listed_and_taken_out_again(run, client):
    added = json.loads(run("add", client, "--json"))
    assert added["outcome"] == "added"
    assert added["backup"] is None
    assert "Nothing to do" in run("add", client)
    listed = {row["client"]: row for row in json.loads(run("list", "--json"))["clients"]}
    assert (listed[client]["here"], listed[client]["set_up"], listed[client]["file"]) == (True, "yes", added["file"])
    assert [name for name, row in listed.items() if row["set_up"] != "no"] == [client]
    assert json.loads(run("remove", client, "--json"))["outcome"] == "removed"
    assert json.loads(run("remove", client, "--json"))["outcome"] == "unchanged"
    assert {row["set_up"] for row in json.loads(run("list", "--json"))["clients"]} == {"no"}


def test_a_dry_run_shows_a_diff_without_secrets_and_writes_nothing(run, zed):
    before = zed.read_bytes()
    shown = run("add", "zed", "--key", KEY, "--dry-run")
    assert f"+++ {zed}" in shown
    assert f'"muxi": {{"url": "{URL}", "headers": {{"Authorization": "Bearer (not shown)"}}}}' in shown
    assert KEY not in shown
    assert "theirs" not in shown
    with_key = run("add", "zed", "--key", KEY, "--dry-run", "--show-key")
    assert KEY in with_key
    assert "theirs" not in with_key
    as_json = json.loads(run("add", "zed", "--dry-run", "--json", MUXI_KEY=KEY))
    assert (as_json["dry_run"], as_json["outcome"]) == (True, "added")
    assert KEY not in json.dumps(as_json)
    assert zed.read_bytes() == before
    assert list(zed.parent.iterdir()) == [zed]


def test_the_key_is_written_and_never_shown_unasked(run, tmp_path):
    assert KEY not in run("add", "codex", "--key", KEY)
    assert f'Authorization = "Bearer {KEY}"' in (tmp_path / ".codex/config.toml").read_text()
    assert KEY not in run("remove", "codex", "--dry-run")
    assert KEY not in run("remove", "codex", "--json")
    assert KEY not in run("add", "claude-desktop", "--key", KEY, "--print")
    assert KEY in run("add", "claude-desktop", "--key", KEY, "--print", "--show-key")


def test_print_gives_a_whole_file_and_writes_none(run, tmp_path):
    document = json.loads(run("add", "vscode", "--print", "--json", "--server", "code"))
    assert json.loads(document["text"]) == {"servers": {"muxi-code": {"type": "http", "url": f"{URL}/code"}}}
    assert list(tmp_path.iterdir()) == []


def test_another_runtime_and_the_bridge_are_named_as_asked(run):
    entry = json.loads(run("add", "zed", "--print", "--json", "--url", "http://tools.example:1"))["entry"]
    assert entry == {"url": "http://tools.example:1/mcp"}
    bridge = json.loads(
        run("add", "claude-desktop", "--print", "--json", "--url", "https://tools.example", "--server", "files")
    )["entry"]
    assert bridge["args"][-5:] == ["connect", "--url", "https://tools.example", "--server", "files"]
    assert Path(bridge["command"]).is_absolute()
    assert json.loads(run("add", "cursor", "--print", "--json", "--connect"))["entry"]["args"][-1] == "connect"


def test_a_projects_file_is_used_where_the_client_reads_one(run, tmp_path):
    project = tmp_path / "project"
    project.mkdir()
    shown = run("add", "claude-code", "--project", str(project), "--key", KEY)
    assert "do not share that file" in shown
    assert json.loads((project / ".mcp.json").read_text())["mcpServers"]["muxi"]["url"] == URL
    listed = json.loads(run("list", "--project", str(project), "--json"))["clients"]
    assert {row["client"]: row["set_up"] for row in listed}["claude-code"] == "yes"
    assert "reads no file of a project" in run("add", "inspector", "--project", str(project), code=ExitCode.USAGE)


def test_a_different_entry_stays_until_it_is_to_be_replaced(run, tmp_path):
    run("add", "gemini", "--url", "http://127.0.0.1:1")
    refused = run("add", "gemini", code=ExitCode.REFUSED)
    assert "--replace" in refused
    assert "differs" in run("list")
    assert "Replaced muxi in" in run("add", "gemini", "--replace")
    assert json.loads((tmp_path / ".gemini/settings.json").read_text()) == {"mcpServers": {"muxi": {"httpUrl": URL}}}


def test_a_file_that_is_not_understood_is_left_and_said_so(run, tmp_path):
    (tmp_path / ".claude.json").write_text('{"token": hush,')
    message = run("add", "claude-code", code=ExitCode.CONFIGURATION)
    assert "was left as it is: line 1, column 11" in message
    assert "--print" in message
    assert "hush" not in message
    assert "unreadable" in run("list")


def test_a_runtime_that_wants_keys_is_not_set_up_without_one(run, tmp_path):
    (tmp_path / "state").mkdir()
    (tmp_path / "state/muxi.yaml").write_text("gateway: {require_key: always}")
    assert "keys create" in run("add", "cursor", code=ExitCode.REFUSED)
    assert not (tmp_path / ".cursor").exists()
    run("list")
    run("add", "cursor", "--key", KEY)


@pytest.mark.parametrize("arguments", [["add"], ["add", "emacs"], ["add", "zed", "--server", "../x"], ["remove"]])
def test_a_wrong_command_line_is_2(run, arguments):
    assert "Usage:" in run(*arguments, code=ExitCode.USAGE)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('"Authorization": "Bearer abc def"', '"Authorization": "Bearer (not shown)"'),
        ('"API_KEY": "a\\"b"', '"API_KEY": "(not shown)"'),
        ('GITHUB_TOKEN = "x"', 'GITHUB_TOKEN = "(not shown)"'),
        ('"Authorization": "raw"', '"Authorization": "(not shown)"'),
        ('"url": "http://h/mcp"', '"url": "http://h/mcp"'),
        ('"MUXI_KEY": "k"', '"MUXI_KEY": "k"'),
    ],
)
def test_what_looks_like_a_secret_is_not_shown_but_for_the_key_asked_for(text, shown):
    assert concealed(text, "k") == shown
