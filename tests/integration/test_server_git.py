"""The git server: on this machine for what it tells, in its sandbox for the way out."""

from __future__ import annotations

import base64
import os
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import anyio
import pytest
from git_site import GitSite, git, git_site
from mcp import Client, StdioServerParameters
from raw_tools import RawTools, raw_tools
from servers_harness import as_leased, leased, local, text_of

from muxi_sandbox.docker.backend import DockerBackend
from muxi_sandbox.docker.images import ImageStore
from muxi_sandbox.docker.settings import EngineSettings
from muxi_sandbox.egress.contract import Destination, Peer, Verdict
from muxi_sandbox.egress.proxy import EgressProxy
from muxi_sandbox.egress.settings import EgressSettings

pytestmark = pytest.mark.timeout(120)

ADDRESS = "127.0.0.2"
"""Of the host's loopback, and not one that clients keep from a proxy."""
PLACEHOLDER = "muxi-secret-" + "0" * 32


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RawTools]:
    with raw_tools(local("git", tmp_path)) as tools:
        yield tools


def commit(server: RawTools, folder: Path, name: str, content: str, **more: str) -> str:
    (folder / name).write_text(content)
    server.call("add", paths=[name])
    made = server.call("commit", message=f"Write {name}\n\nBecause.", **more)
    return str(made["commit"])


def test_what_is_committed_is_told_by_log_show_diff_blame_and_read(server: RawTools, tmp_path: Path) -> None:
    assert server.call("init") == {"repository": ".", "branch": "main"}
    first = commit(server, tmp_path, "ü b.txt", "one\ntwo\n")
    second = commit(server, tmp_path, "ü b.txt", "one\n2\n", author_name="Ada", author_email="ada@example.com")
    log = server.call("log", max_count=1)
    assert (log["commits"][0]["commit"], log["commits"][0]["author"], log["complete"]) == (second, "Ada", False)
    assert (log["commits"][0]["subject"], log["commits"][0]["body"]) == ("Write ü b.txt", "Because.")
    assert [one["commit"] for one in server.call("log", author="muxi")["commits"]] == [first]
    shown = server.call("show")
    assert shown["files"] == [{"path": "ü b.txt", "added": 1, "deleted": 1}]
    assert "-two\n+2\n" in shown["diff"]
    assert server.call("diff", **{"from": first, "to": second})["diff"] == shown["diff"]
    assert server.call("show", revision=first)["files"][0]["added"] == 2
    assert [one["commit"] for one in server.call("blame", file="ü b.txt")["lines"]] == [first, second]
    assert server.call("read", file="ü b.txt", revision=first)["text"] == "one\ntwo\n"
    assert git(tmp_path, "fsck") == ""


def test_status_tells_staged_unstaged_and_untracked(server: RawTools, tmp_path: Path) -> None:
    server.call("init")
    commit(server, tmp_path, "a", "1")
    (tmp_path / "a").write_text("2")
    (tmp_path / "b").write_text("x")
    server.call("add", paths=["b"])
    (tmp_path / "c").write_text("x")
    told = server.call("status")
    assert [(one["path"], one["staged"], one["unstaged"]) for one in told["entries"]] == [
        ("a", "", "modified"),
        ("b", "added", ""),
        ("c", "", "untracked"),
    ]
    server.call("restore", paths=["a"])
    assert (tmp_path / "a").read_text() == "1"
    assert server.call("restore", paths=["b"], staged=True)["staged"] == []
    assert "Nothing is staged" in server.refusal("commit", message="x")


def test_branches_are_made_switched_and_moved_forward(server: RawTools, tmp_path: Path) -> None:
    server.call("init")
    first = commit(server, tmp_path, "a", "1")
    assert server.call("branch_create", name="side")["branch"] == "side"
    second = commit(server, tmp_path, "a", "2")
    assert server.call("switch", name="main") == {"branch": "main", "commit": first}
    assert (tmp_path / "a").read_text() == "1"
    assert [one["name"] for one in server.call("branches")["branches"] if one["current"]] == ["main"]
    assert server.call("fast_forward", revision="side")["commit"] == second
    assert "already exists" in server.refusal("branch_create", name="side")
    commit(server, tmp_path, "a", "3")
    server.call("switch", name="side")
    commit(server, tmp_path, "b", "other")
    assert "Not possible to fast-forward" in server.refusal("fast_forward", revision="main")


def test_a_repository_of_another_git_is_understood(server: RawTools, tmp_path: Path) -> None:
    """Packed refs and objects, a detached head, an identity of its own."""
    git(tmp_path, "init", "--quiet", "--object-format=sha256")
    git(tmp_path, "config", "user.name", "Own")
    (tmp_path / "a").write_text("1")
    git(tmp_path, "add", "a")
    git(tmp_path, "commit", "--quiet", "--message=x")
    git(tmp_path, "branch", "side")
    git(tmp_path, "gc", "--quiet")
    git(tmp_path, "checkout", "--quiet", "--detach")
    assert server.call("status")["branch"] is None
    assert {one["name"] for one in server.call("branches")["branches"]} == {"main", "side"}
    commit(server, tmp_path, "a", "2")
    assert server.call("log", max_count=1)["commits"][0]["author"] == "Own"
    assert server.call("switch", name="side")["branch"] == "side"


def test_a_large_difference_is_cut_and_says_so(server: RawTools, tmp_path: Path) -> None:
    server.call("init")
    commit(server, tmp_path, "a", "ä\n" * 5_000)
    shown = server.call("show", max_bytes=1_000)
    assert shown["truncated"]
    assert len(shown["diff"].encode()) <= 1_000


def test_broken_and_missing_repositories_are_refused(server: RawTools, tmp_path: Path) -> None:
    (tmp_path / "empty" / ".git").mkdir(parents=True)
    (tmp_path / "fifo" / ".git").mkdir(parents=True)
    os.mkfifo(tmp_path / "fifo" / ".git" / "config")
    (tmp_path / "huge" / ".git").mkdir(parents=True)
    (tmp_path / "huge" / ".git" / "config").write_text("#" * 100_000)
    assert "no git repository" in server.refusal("status", repository=".")
    assert "no config" in server.refusal("status", repository="empty")
    assert "not a file" in server.refusal("status", repository="fifo")
    assert "more than" in server.refusal("status", repository="huge")
    assert "is not a folder" in server.refusal("status", repository="huge/.git/config")
    server.call("init", repository="new")
    assert "already" in server.refusal("init", repository="new")
    assert "bad revision" in server.refusal("log", repository="new")


def test_a_password_is_sent_only_when_it_is_asked_for(tmp_path: Path) -> None:
    """The placeholder, that is; the proxy puts the value in, for the secret's host alone."""
    parameters = local("git", tmp_path / "w")
    (tmp_path / "w").mkdir()
    proxies = {"HTTPS_PROXY": "http://127.0.0.1:1", "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
    environment = {**(parameters.env or {}), **proxies, "GIT_TOKEN": PLACEHOLDER}
    parameters = StdioServerParameters(command=parameters.command, args=parameters.args, env=environment)
    with git_site(tmp_path, asks=True) as site, raw_tools(parameters) as tools:
        assert tools.call("clone", url=site.url)["branches"] == 1
    assert site.credentials[0] is None
    sent = {base64.b64decode(one.removeprefix("Basic ")).decode() for one in site.credentials if one}
    assert sent == {f"x-access-token:{PLACEHOLDER}"}
    config = (tmp_path / "w" / "a" / ".git" / "config").read_text()
    assert PLACEHOLDER not in config


class Permits:
    """A gatekeeper that leaves all to the profile."""

    async def decide(self, peer: Peer, destination: Destination) -> Verdict:
        del peer, destination
        return Verdict(allowed=True, rule="test")

    async def tell(self, peer: Peer, kind: str, facts: Mapping[str, Any]) -> None:
        del peer, kind, facts


@pytest.fixture
def site(tmp_path: Path) -> Iterator[GitSite]:
    with git_site(tmp_path, ADDRESS) as site:
        yield site


@pytest.fixture
async def boxed_client(engine_socket: Path, site: GitSite) -> AsyncIterator[Client]:
    """In the sandbox that its manifest asks for, with one host allowed."""
    settings = EngineSettings(socket=engine_socket)
    async with ImageStore(settings) as images:
        await images.ensure("forwarder", print)
        image = await images.ensure("python", print)
    place = site.url.split("/")[2]
    egress = EgressProxy(EgressSettings(private=(place,)), Permits())
    spec = as_leased("git", image, "cloned").model_copy(update={"network": (place,)})
    async with (
        DockerBackend(settings, f"git-{uuid4().hex[:8]}", egress=egress) as backend,
        leased(backend, spec) as client,
    ):
        yield client


async def called(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content
    assert result.structured_content
    return result.structured_content


async def test_in_its_sandbox_it_clones_fetches_and_pushes_where_that_is_allowed(
    boxed_client: Client, site: GitSite, tmp_path: Path
) -> None:
    told = await called(boxed_client, "clone", url=site.url)
    assert (told["repository"], told["branch"]) == ("a", "main")
    assert (await called(boxed_client, "read", repository="a", file="a.txt"))["text"] == "one\n"
    work = tmp_path / "work"
    (work / "a.txt").write_text("two\n")
    await anyio.to_thread.run_sync(git, work, "commit", "--quiet", "--all", "--message=Second")
    await anyio.to_thread.run_sync(git, work, "push", "--quiet", "origin", "HEAD:main")
    fetched = await called(boxed_client, "fetch", repository="a")
    assert [one["name"] for one in fetched["updated"]] == ["main"]
    assert (await called(boxed_client, "status", repository="a"))["behind"] == 1
    await called(boxed_client, "fast_forward", repository="a", revision="origin/main")
    made = await called(boxed_client, "branch_create", repository="a", name="mine")
    assert (await called(boxed_client, "push", repository="a"))["branch"] == "mine"
    assert git(site.folder, "rev-parse", "mine").strip() == made["commit"]
    refused = await boxed_client.call_tool("clone", {"url": "http://127.0.0.3:81/x.git", "branch": "main"})
    assert refused.is_error
    assert "servers.git.network.allow: [127.0.0.3:81]" in text_of(refused)
    listed = await boxed_client.call_tool("status", {"repository": "x"})
    assert listed.is_error  # nothing is left of a clone that failed
    tools = {tool.name: tool for tool in (await boxed_client.list_tools()).tools}
    assert {name for name, tool in tools.items() if tool.annotations and tool.annotations.open_world_hint} == {
        *("clone", "fetch", "push"),
    }
