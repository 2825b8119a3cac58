"""The tools `clone`, `fetch` and `push`: only where the operator allowed hosts, and over http and https only."""

from __future__ import annotations

import os

from muxi_servers.git.changing import make_repository
from muxi_servers.git.checks import check_name, check_url
from muxi_servers.git.refusals import check_reachable
from muxi_servers.git.repository import Git, Repository
from muxi_servers.kit.content import ToolResult, text
from muxi_servers.kit.errors import ToolError
from muxi_servers.kit.frames import write_all
from muxi_servers.kit.removal import remove_tree
from muxi_servers.kit.tools import object_schema
from muxi_servers.kit.workspace import OsErrors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from muxi_servers.kit.call import Call
    from muxi_servers.kit.launch import Launcher
    from muxi_servers.kit.workspace import Workspace

__all__ = ["CLONE_OUTPUT", "FETCH_OUTPUT", "PUSH_OUTPUT", "Remotes"]

_TEXT = {"type": "string"}
_MAYBE = {"type": ["string", "null"]}
_COUNT = {"type": "integer", "minimum": 0}
CLONE_OUTPUT = object_schema({"repository": _TEXT, "branch": _TEXT, "commit": _TEXT, "branches": _COUNT})
FETCH_OUTPUT = object_schema(
    {
        "updated": {
            "type": "array",
            "items": object_schema({"name": _TEXT, "before": _MAYBE, "after": {**_MAYBE, "description": "null: gone"}}),
        }
    }
)
PUSH_OUTPUT = object_schema({"remote": _TEXT, "branch": _TEXT, "commit": _TEXT})
_FETCH = ("fetch", "--quiet", "--no-recurse-submodules", "--no-auto-maintenance", "--no-write-fetch-head")
_ORIGIN = '[remote "origin"]\n\turl = "{url}"\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n'
_TRACKED = '[branch "{branch}"]\n\tremote = origin\n\tmerge = refs/heads/{branch}\n'
_APPEND = os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Remotes:
    """Talks with other hosts."""

    def __init__(self, launcher: Launcher, workspace: Workspace) -> None:
        self._launcher = launcher
        self._workspace = workspace

    def clone(self, call: Call, arguments: dict[str, Any]) -> ToolResult:
        """See the tool's description.

        Raises:
            ToolError: the host is not to be reached, or the folder is not empty.
        """
        url = check_url(arguments["url"])
        check_reachable(url)
        path = arguments["repository"] or url.rstrip("/").rpartition("/")[2].removesuffix(".git") or "repository"
        self._check_new(path)
        with Git(self._launcher, call) as git:
            branch = arguments["branch"] or _head_of(git, url)
        self._make_with_origin(call, path, branch, url)
        try:
            told = self._fill(call, path, branch, arguments)
        except ToolError:
            self._remove(path)
            raise
        return ToolResult([text(f"Cloned {url} into {path}, on {branch} at {told['commit'][:12]}.")], told)

    def fetch(self, call: Call, arguments: dict[str, Any]) -> ToolResult:
        """See the tool's description.

        Raises:
            ToolError: there is no such remote, or it is not to be reached.
        """
        with self._open(call, arguments) as repository:
            remote, _ = _remote(repository, arguments)
            call.progress(f"fetching from {remote}")
            before = _tracked(repository, remote)
            repository.run(*_FETCH, *(["--prune"] if arguments["prune"] else []), "--no-tags", remote, seconds=300)
            after = _tracked(repository, remote)
        names = sorted(name for name in {*before, *after} if before.get(name) != after.get(name))
        updated = [{"name": name, "before": before.get(name), "after": after.get(name)} for name in names]
        return ToolResult([text("Updated: " + (", ".join(names) or "nothing"))], {"updated": updated})

    def push(self, call: Call, arguments: dict[str, Any]) -> ToolResult:
        """See the tool's description.

        Raises:
            ToolError: the remote refused, or is not to be reached.
        """
        with self._open(call, arguments) as repository:
            remote, _ = _remote(repository, arguments)
            branch = arguments["branch"] or repository.run("symbolic-ref", "--quiet", "--short", "HEAD", may_fail=True)
            branch = check_name(branch.strip())
            commit = repository.run("rev-parse", "--verify", f"refs/heads/{branch}").strip()
            call.progress(f"pushing {branch} to {remote}")
            which = f"refs/heads/{branch}:refs/heads/{branch}"
            repository.run("push", "--quiet", "--no-verify", "--recurse-submodules=no", remote, which, seconds=300)
        told = {"remote": remote, "branch": branch, "commit": commit}
        return ToolResult([text(f"Pushed {branch} at {commit[:12]} to {remote}.")], told)

    def _open(self, call: Call, arguments: dict[str, Any]) -> Repository:
        return Repository(self._launcher, self._workspace, call, arguments["repository"])

    def _check_new(self, path: str) -> None:
        with self._workspace.locate(path, follow=False) as place, OsErrors(path):
            if place.stat() is not None:
                raise ToolError(f"{path} exists already: name another folder with repository, or fetch in it.")

    def _make_with_origin(self, call: Call, path: str, branch: str, url: str) -> None:
        make_repository(self._launcher, self._workspace, call, path, branch)
        settings = f"{path}/.git/config"
        with self._workspace.locate(settings, follow=False) as place, OsErrors(settings):
            fd = os.open(place.name, _APPEND, dir_fd=place.folder)
            try:
                write_all(fd, (_ORIGIN.format(url=url) + _TRACKED.format(branch=branch)).encode())
            finally:
                os.close(fd)

    def _fill(self, call: Call, path: str, branch: str, arguments: dict[str, Any]) -> dict[str, Any]:
        depth = [f"--depth={int(arguments['depth'])}"] if arguments["depth"] else []
        with Repository(self._launcher, self._workspace, call, path) as repository:
            call.progress(f"fetching {arguments['url']}")
            repository.run(*_FETCH, *depth, "--no-tags", "origin", seconds=300)
            start = f"refs/remotes/origin/{branch}"
            if not repository.run("rev-parse", "--quiet", "--verify", start, may_fail=True):
                raise ToolError(f"There is no branch {branch!r} at {arguments['url']}.")
            repository.run("reset", "--quiet", "--hard", "--no-recurse-submodules", start)
            commit = repository.run("rev-parse", "HEAD").strip()
            return {
                "repository": path,
                "branch": branch,
                "commit": commit,
                "branches": len(_tracked(repository, "origin")),
            }

    def _remove(self, path: str) -> None:
        with self._workspace.locate(path, follow=False) as place, OsErrors(path):
            remove_tree(place.folder, place.name)


def _head_of(git: Git, url: str) -> str:
    said = git.run("ls-remote", "--quiet", "--symref", url, "HEAD")
    first = said.partition("\t")[0].removeprefix("ref: refs/heads/")
    if not said.startswith("ref: refs/heads/"):
        raise ToolError(f"{url} names no branch as its HEAD, or is empty: say which branch.")
    return check_name(first)


def _remote(repository: Repository, arguments: dict[str, Any]) -> tuple[str, str]:
    name = check_name(arguments["remote"], "remote")
    known = repository.remotes()
    if name not in known:
        there = ", ".join(known) or "none"
        raise ToolError(f"There is no remote {name!r} over http or https here; there are: {there}.")
    check_reachable(known[name])
    return name, known[name]


def _tracked(repository: Repository, remote: str) -> dict[str, str]:
    said = repository.run("for-each-ref", "--format=%(refname:lstrip=3) %(objectname)", f"refs/remotes/{remote}")
    return dict(line.split(" ", 1) for line in said.splitlines() if not line.startswith("HEAD "))
