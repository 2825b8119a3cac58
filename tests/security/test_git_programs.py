"""Repositories that name programs for git to run, against every tool of the git server. The real git, in its image."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from git_site import git, git_site
from raw_tools import RawTools, boxed_on, raw_tools
from servers_harness import local

pytestmark = pytest.mark.timeout(120)

MARK = "ran"
RUN = f"touch /workspace/{MARK}; false"
SETTINGS = f"""
[core]
    fsmonitor = "{RUN}"
    hooksPath = hooks
    sshCommand = "{RUN}"
    pager = "{RUN}"
    editor = "{RUN}"
    askPass = "/workspace/project/program"
    gitProxy = "{RUN}"
    alternateRefsCommand = "{RUN}"
    worktree = /etc
    attributesFile = /workspace/project/attributes
    excludesFile = /workspace/project/attributes
[filter "evil"]
    clean = "{RUN}"
    smudge = "{RUN}"
    process = "{RUN}"
    required = true
[diff]
    external = "{RUN}"
[diff "evil"]
    command = "{RUN}"
    textconv = "{RUN}"
[merge "evil"]
    driver = "{RUN}"
[alias]
    status = "!{RUN}"
    log = "!{RUN}"
[credential]
    helper = "!{RUN}"
[gpg]
    program = /workspace/project/program
[commit]
    gpgSign = true
[log]
    showSignature = true
[gc]
    auto = 1
    recentObjectsHook = "{RUN}"
[submodule]
    recurse = true
[submodule "sub"]
    update = "!{RUN}"
    active = true
[remote "origin"]
    url = "ext::sh -c '{RUN}'"
    uploadpack = "{RUN}"
    vcs = ext
[include]
    path = ../more
[uploadpack]
    packObjectsHook = "{RUN}"
"""
HOOKS = (
    *(
        "pre-commit",
        "prepare-commit-msg",
        "commit-msg",
        "post-commit",
        "post-checkout",
        "post-merge",
        "pre-merge-commit",
    ),
    *("post-index-change", "reference-transaction", "pre-push", "fsmonitor-watchman", "post-rewrite", "pre-auto-gc"),
)


def executable(path: Path) -> None:
    path.write_text(f"#!/bin/sh\n{RUN}\n")
    path.chmod(0o755)


def open_to_all(folder: Path) -> None:
    """The server in its container is another user."""
    subprocess.run(["chmod", "-R", "a+rwX", str(folder)], check=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with a repository of an attacker's in `project`."""
    top = tmp_path_factory.mktemp("git")
    project, sub = top / "project", top / "project" / "sub"
    sub.mkdir(parents=True)
    for place in (sub, project):
        git(place, "init", "--quiet")
        (place / "a.txt").write_text("one\n")
    (project / ".gitattributes").write_text("* filter=evil diff=evil merge=evil\n")
    (project / "attributes").write_text("* filter=evil diff=evil\n")
    git(sub, "add", "a.txt")
    git(sub, "commit", "--quiet", "--message=sub")
    (project / ".gitmodules").write_text(
        f'[submodule "sub"]\n\tpath = sub\n\turl = "ext::{RUN}"\n\tupdate = "!{RUN}"\n'
    )
    git(project, "add", ".")
    git(project, "commit", "--quiet", "--message=First")
    git(project, "branch", "other")
    (sub / "a.txt").write_text("changed\n")
    executable(project / "program")
    for place in (project, sub):
        with (place / ".git" / "config").open("a") as config:
            config.write(SETTINGS)
        for name in HOOKS:
            executable(place / ".git" / "hooks" / name)
    (project / "more").write_text(SETTINGS)
    (project / ".git" / "config.worktree").write_text(SETTINGS)
    open_to_all(top)
    return top


@pytest.fixture(scope="module")
def server(python_image: str, folder: Path) -> Iterator[RawTools]:
    with raw_tools(boxed_on(python_image, "git", folder)) as tools:
        yield tools


def test_the_repository_does_run_its_programs_in_a_git_of_ones_own(folder: Path, python_image: str) -> None:
    """What the other tests rest on: the same repository, and git as everybody has it."""
    command = ["docker", "run", "--rm", "--network", "none", "--user", "65534", "-v", f"{folder}:/workspace"]
    script = "git config --global safe.directory '*'; cd project && git status; ls /workspace"
    command += ["--tmpfs", "/tmp", python_image, "bash", "-c", script]
    ran = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={"DOCKER_API_VERSION": "1.41", **os.environ},
    )
    (folder / MARK).unlink(missing_ok=True)
    assert MARK in ran.stdout.splitlines(), ran


@pytest.mark.promise("repositories-run-nothing")
def test_no_tool_runs_a_program_that_a_repository_names(server: RawTools, folder: Path) -> None:
    project = {"repository": "project"}
    (folder / "project" / "b.txt").write_text("two\n")
    for tool, arguments in (
        ("status", {}),
        ("branches", {}),
        ("log", {}),
        ("show", {}),
        ("diff", {}),
        ("diff", {"from": "HEAD"}),
        ("blame", {"file": "a.txt"}),
        ("read", {"file": "a.txt"}),
        ("add", {"paths": ["b.txt"]}),
        ("add", {"paths": ["."]}),
        ("diff", {"staged": True}),
        ("commit", {"message": "Second"}),
        ("branch_create", {"name": "third"}),
        ("switch", {"name": "other"}),
        ("fast_forward", {"revision": "third"}),
        ("restore", {"paths": ["a.txt"]}),
        ("restore", {"paths": ["a.txt"], "staged": True}),
    ):
        server.call(tool, **project, **arguments)
        assert not (folder / MARK).exists(), tool
    for tool in ("fetch", "push"):
        assert "no remote 'origin' over http" in server.refusal(tool, **project)
    assert not (folder / MARK).exists()


@pytest.mark.promise("repositories-run-nothing")
def test_a_submodule_is_not_looked_into(server: RawTools, folder: Path) -> None:
    told = server.call("status", repository="project")
    assert "sub" not in [entry["path"] for entry in told["entries"]]
    assert not (folder / MARK).exists()


@pytest.mark.promise("repositories-run-nothing")
def test_settings_that_lead_elsewhere_change_nothing_elsewhere(server: RawTools, folder: Path) -> None:
    """`core.worktree`, and a `.git` that is a link or a file, as a linked worktree has."""
    assert server.call("status", repository="project")["branch"] in {"main", "other"}
    for name in ("linked", "pointed"):
        (folder / name).mkdir(exist_ok=True)
    (folder / "linked" / ".git").symlink_to("/etc")
    (folder / "pointed" / ".git").write_text("gitdir: /workspace/project/.git\n")
    for name in ("linked", "pointed"):
        assert "no git repository" in server.refusal("status", repository=name)


@pytest.mark.promise("repositories-run-nothing")
@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("log", {"revision": "--output=/workspace/ran"}),
        ("show", {"revision": "--ext-diff"}),
        ("diff", {"from": "--no-index", "to": "/etc/passwd"}),
        ("blame", {"file": "a.txt", "revision": "--contents=/etc/passwd"}),
        ("switch", {"name": "--orphan=x"}),
        ("branch_create", {"name": "x", "start": "--track"}),
        ("fast_forward", {"revision": "--exec=x"}),
        ("fetch", {"remote": "--upload-pack=x"}),
        ("push", {"remote": "--receive-pack=x"}),
        ("clone", {"url": "ext::sh -c 'touch /workspace/ran'"}),
        ("clone", {"url": "--upload-pack=x"}),
        ("clone", {"url": "file:///workspace/project"}),
    ],
)
def test_an_argument_never_becomes_an_option(
    server: RawTools, folder: Path, tool: str, arguments: dict[str, str]
) -> None:
    assert server.refusal(tool, repository="" if tool == "clone" else "project", **arguments)
    assert not (folder / MARK).exists()


def test_paths_stay_in_the_repository_and_in_the_workspace(server: RawTools) -> None:
    for paths in (["../../etc/passwd"], ["/etc/passwd"], [":(top)../x"], ["-f"]):
        assert server.refusal("add", repository="project", paths=paths)
    for repository in ("..", "/etc", "../../etc"):
        assert server.refusal("status", repository=repository)


def test_without_a_host_that_is_allowed_there_is_no_network(server: RawTools) -> None:
    said = server.refusal("clone", url="https://example.com/a.git")
    assert "servers.git.network.allow: [example.com]" in said


PROGRAMS = '[credential]\n\thelper = "!touch {mark}; false"\n[core]\n\taskPass = {program}\n'
ELSEWHERE = '[url "http://127.0.0.1:1/"]\n\tinsteadOf = http://127.0.0.1\n[http]\n\tproxy = http://127.0.0.1:1\n'


@pytest.mark.promise("repositories-run-nothing")
@pytest.mark.parametrize("settings", [PROGRAMS, ELSEWHERE])
@pytest.mark.parametrize("branch", ["", "main"])
def test_a_clone_obeys_no_settings_of_the_workspace_it_is_made_in(tmp_path: Path, branch: str, settings: str) -> None:
    """The workspace is itself a repository, which names programs for the host that asks for a password."""
    workspace, mark, program = tmp_path / "workspace", tmp_path / "ran", tmp_path / "program"
    workspace.mkdir()
    program.write_text(f"#!/bin/sh\ntouch {mark}\n")
    program.chmod(0o755)
    git(workspace, "init", "--quiet")
    with (workspace / ".git" / "config").open("a") as config:
        config.write(settings.format(mark=mark, program=program))
    environment = {**os.environ, "HTTPS_PROXY": "http://127.0.0.1:1"}  # to have a way out; http goes without it
    parameters = local("git", workspace).model_copy(update={"env": environment})
    with git_site(tmp_path, asks=True) as site, raw_tools(parameters) as tools:
        assert "wants a password" in tools.refusal("clone", url=site.url, branch=branch)
        assert site.credentials
    assert not mark.exists()
