"""A client's file: found where each system has it, read and written through links, never half written."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from muxi_runtime.errors import RefusedError
from muxi_runtime.setup.clients.change import plan_add, plan_remove, state_of
from muxi_runtime.setup.clients.entry import Way, entry_for, leads_here
from muxi_runtime.setup.clients.errors import ClientFileError
from muxi_runtime.setup.clients.file import BACKUP_SUFFIX, ClientFile
from muxi_runtime.setup.clients.known import KNOWN, Machine
from muxi_runtime.setup.clients.texts import State

ADA = Path("/home/ada")
WAY = Way("http://127.0.0.1:7890/mcp", ("/bin/muxi-runtime", "--home", "/s", "connect"), "muxi_k")
CURSOR = KNOWN["cursor"]
ENTRY = entry_for(CURSOR.form, WAY, as_command=False)


@pytest.mark.parametrize(
    ("platform", "environ", "files"),
    [
        (
            "linux",
            {},
            {
                "claude-desktop": ".config/Claude/claude_desktop_config.json",
                "claude-code": ".claude.json",
                "cursor": ".cursor/mcp.json",
                "vscode": ".config/Code/User/mcp.json",
                "codex": ".codex/config.toml",
                "gemini": ".gemini/settings.json",
                "zed": ".config/zed/settings.json",
                "inspector": ".mcp-inspector/mcp.json",
            },
        ),
        (
            "darwin",
            {},
            {
                "claude-desktop": "Library/Application Support/Claude/claude_desktop_config.json",
                "vscode": "Library/Application Support/Code/User/mcp.json",
                "zed": ".config/zed/settings.json",
            },
        ),
        (
            "win32",
            {},
            {
                "claude-desktop": "AppData/Roaming/Claude/claude_desktop_config.json",
                "vscode": "AppData/Roaming/Code/User/mcp.json",
                "zed": "AppData/Roaming/Zed/settings.json",
            },
        ),
        (
            "linux",
            {"XDG_CONFIG_HOME": "/x", "CODEX_HOME": "/c", "CLAUDE_CONFIG_DIR": "/d", "MCP_CATALOG_PATH": "/i.json"},
            {
                "zed": "/x/zed/settings.json",
                "codex": "/c/config.toml",
                "claude-code": "/d/.claude.json",
                "inspector": "/i.json",
            },
        ),
        ("linux", {"XDG_CONFIG_HOME": "relative", "CODEX_HOME": ""}, {"zed": ".config/zed/settings.json"}),
    ],
)
def test_each_client_is_looked_for_where_its_system_has_it(platform, environ, files):
    machine = Machine(platform, ADA, environ)
    assert {name: KNOWN[name].file(machine) for name in files} == {name: ADA / file for name, file in files.items()}


def test_a_client_is_here_when_its_program_its_folder_or_its_file_is(tmp_path):
    home, tools = tmp_path / "home", tmp_path / "tools"
    (home / ".config").mkdir(parents=True)
    tools.mkdir()
    machine = Machine("linux", home, {"PATH": str(tools)})
    assert not any(client.is_here(machine) for client in KNOWN.values())
    (home / ".cursor").mkdir()
    (home / ".claude.json").write_text("{}")
    (tools / "codex").write_text("#!/bin/sh\n")
    (tools / "codex").chmod(0o755)
    assert {name for name, client in KNOWN.items() if client.is_here(machine)} == {"cursor", "claude-code", "codex"}


@pytest.mark.parametrize(
    ("client", "entry"),
    [
        (
            "claude-desktop",
            {"command": "/bin/muxi-runtime", "args": ["--home", "/s", "connect"], "env": {"MUXI_KEY": "muxi_k"}},
        ),
        ("claude-code", {"type": "http", "url": WAY.url, "headers": {"Authorization": "Bearer muxi_k"}}),
        ("cursor", {"url": WAY.url, "headers": {"Authorization": "Bearer muxi_k"}}),
        ("vscode", {"type": "http", "url": WAY.url, "headers": {"Authorization": "Bearer muxi_k"}}),
        ("codex", {"url": WAY.url, "http_headers": {"Authorization": "Bearer muxi_k"}}),
        ("gemini", {"httpUrl": WAY.url, "headers": {"Authorization": "Bearer muxi_k"}}),
        ("zed", {"url": WAY.url, "headers": {"Authorization": "Bearer muxi_k"}}),
        ("inspector", {"type": "http", "url": WAY.url, "headers": {"Authorization": "Bearer muxi_k"}}),
    ],
)
def test_each_client_gets_an_entry_of_its_own_form(client, entry):
    made = entry_for(KNOWN[client].form, WAY, as_command=False)
    assert made == entry
    assert leads_here(made)
    assert leads_here(entry_for(KNOWN[client].form, WAY, as_command=True))


@pytest.mark.parametrize(
    "entry",
    [None, "x", {}, {"url": "https://e.org/other"}, {"url": "http://[bad/mcp"}, {"command": "npx", "args": ["x"]}],
)
def test_another_entry_is_told_apart(entry):
    assert not leads_here(entry)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mcp.json"
    path.write_text('{"mcpServers": {}}')
    path.chmod(0o640)
    return path


def test_writing_keeps_the_mode_and_what_was_there_before(file):
    change = plan_add(CURSOR, file, "muxi", ENTRY, replace=False)
    assert file.read_text() == '{"mcpServers": {}}', "planning writes nothing"
    backup = change.write()
    assert backup == file.with_name(f"mcp.json{BACKUP_SUFFIX}")
    assert backup.read_text() == '{"mcpServers": {}}'
    assert [stat.S_IMODE(path.stat().st_mode) for path in (file, backup)] == [0o640, 0o640]
    assert sorted(path.name for path in file.parent.iterdir()) == ["mcp.json", backup.name]
    plan_remove(CURSOR, file, "muxi").write()
    assert file.read_text() == '{"mcpServers": {}}'


def test_a_new_file_is_for_its_owner_alone(tmp_path):
    path = tmp_path / "a" / "b" / "mcp.json"
    assert plan_add(CURSOR, path, "muxi", ENTRY, replace=False).write() is None
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_link_is_written_through_and_stays_one(file, tmp_path):
    link, chain = tmp_path / "link.json", tmp_path / "chain.json"
    link.symlink_to(file.name)
    chain.symlink_to(link)
    plan_add(CURSOR, chain, "muxi", ENTRY, replace=False).write()
    assert link.is_symlink()
    assert chain.is_symlink()
    assert state_of(CURSOR, file, "muxi", ENTRY) is State.SAME
    assert stat.S_IMODE(file.stat().st_mode) == 0o640


def test_a_link_to_nothing_makes_what_it_leads_to(tmp_path):
    link = tmp_path / "mcp.json"
    link.symlink_to(tmp_path / "dotfiles" / "mcp.json")
    plan_add(CURSOR, link, "muxi", ENTRY, replace=False).write()
    assert link.is_symlink()
    assert not (tmp_path / "dotfiles" / "mcp.json").is_symlink()
    assert state_of(CURSOR, link, "muxi", ENTRY) is State.SAME


def test_links_in_a_circle_and_folders_are_refused(tmp_path):
    link, folder = tmp_path / "a", tmp_path / "b"
    link.symlink_to(link)
    folder.mkdir()
    for path in (link, folder):
        with pytest.raises(ClientFileError):
            plan_add(CURSOR, path, "muxi", ENTRY, replace=False)
    assert sorted(tmp_path.iterdir()) == [link, folder]


def test_a_file_that_changed_since_it_was_read_is_left_alone(file):
    change = plan_add(CURSOR, file, "muxi", ENTRY, replace=False)
    file.write_text('{"mcpServers": {"new": {}}}')
    with pytest.raises(ClientFileError, match="changed just now"):
        change.write()
    assert file.read_text() == '{"mcpServers": {"new": {}}}'


def test_nothing_is_left_behind_where_writing_fails(file, monkeypatch):
    change = plan_add(CURSOR, file, "muxi", ENTRY, replace=False)

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ClientFileError, match="No space left"):
        change.write()
    assert [path.name for path in file.parent.iterdir()] == ["mcp.json"]
    assert file.read_text() == '{"mcpServers": {}}'


def test_an_entry_with_more_in_it_will_do_and_a_different_one_is_not_overwritten(file):
    plan_add(CURSOR, file, "muxi", {**ENTRY, "timeout": 5}, replace=False).write()
    assert plan_add(CURSOR, file, "muxi", ENTRY, replace=False).outcome == "unchanged"
    other = {"url": "http://127.0.0.1:1/mcp"}
    with pytest.raises(RefusedError, match="another entry"):
        plan_add(CURSOR, file, "muxi", other, replace=False)
    assert state_of(CURSOR, file, "muxi", other) is State.OTHER
    replaced = plan_add(CURSOR, file, "muxi", other, replace=True)
    assert replaced.outcome == "replaced"
    assert replaced.write() is not None
    assert ClientFile.read(file).content == (
        b'{"mcpServers": {\n  "muxi": {\n    "url": "http://127.0.0.1:1/mcp"\n  }\n}}'
    )


def test_an_entry_that_leads_elsewhere_is_not_removed(file):
    file.write_text('{"mcpServers": {"muxi": {"command": "npx"}}}')
    with pytest.raises(RefusedError, match="does not lead to"):
        plan_remove(CURSOR, file, "muxi")


@pytest.mark.parametrize("content", [b'{"a": 1,}', b"{} // c", b"\xff\xfe{}", b'{"mcpServers": [1]}'])
def test_what_claude_could_not_read_is_not_edited(tmp_path, content):
    path = tmp_path / "claude_desktop_config.json"
    path.write_bytes(content)
    with pytest.raises(ClientFileError, match="was left as it is"):
        plan_add(KNOWN["claude-desktop"], path, "muxi", ENTRY, replace=True)
    assert path.read_bytes() == content
