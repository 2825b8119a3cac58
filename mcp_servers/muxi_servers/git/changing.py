"""The tools that change a repository: `init`, `add`, `restore`, `commit`, `branch_create`, `switch`, `fast_forward`."""

from __future__ import annotations

from muxi_servers.git.checks import check_name, check_paths, check_revision
from muxi_servers.git.repository import NewRepository, Repository
from muxi_servers.kit.content import ToolResult, text
from muxi_servers.kit.errors import ToolError
from muxi_servers.kit.tools import object_schema

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from muxi_servers.kit.call import Call
    from muxi_servers.kit.launch import Launcher
    from muxi_servers.kit.workspace import Workspace

__all__ = ["COMMIT_OUTPUT", "INIT_OUTPUT", "STAGED_OUTPUT", "WHERE_OUTPUT", "Changing", "make_repository"]

_TEXT = {"type": "string"}
_MAYBE = {"type": ["string", "null"]}
INIT_OUTPUT = object_schema({"repository": _TEXT, "branch": _TEXT})
STAGED_OUTPUT = object_schema({"staged": {"type": "array", "items": _TEXT}, "complete": {"type": "boolean"}})
COMMIT_OUTPUT = object_schema({"commit": _TEXT, "branch": _MAYBE, "files": {"type": "integer", "minimum": 0}})
WHERE_OUTPUT = object_schema({"branch": _MAYBE, "commit": _MAYBE})
_MAX_PATHS = 1_000


def make_repository(launcher: Launcher, workspace: Workspace, call: Call, path: str, branch: str) -> str:
    """Make an empty one in a folder, which is made too; returns the folder's path.

    Raises:
        ToolError: there is one already.
    """
    check_name(branch)
    with workspace.locate(f"{path}/.git", follow=False, make_folders=True) as place:
        if place.stat() is not None:
            raise ToolError(f"{path} is a git repository already.")
    with NewRepository(launcher, workspace, call, path) as git:
        git.run("init", "--quiet", "--template=", f"--initial-branch={branch}")
        return git.path


class Changing:
    """Changes repositories in the workspace."""

    def __init__(self, launcher: Launcher, workspace: Workspace) -> None:
        self._launcher = launcher
        self._workspace = workspace

    def _open(self, call: Call, arguments: dict[str, Any]) -> Repository:
        return Repository(self._launcher, self._workspace, call, arguments["repository"])

    def init(self, call: Call, arguments: dict[str, Any]) -> ToolResult:
        """See the tool's description.

        Raises:
            ToolError: there is one already, or the path cannot be used.
        """
        branch = arguments["branch"]
        path = make_repository(self._launcher, self._workspace, call, arguments["repository"], branch)
        return ToolResult([text(f"Made a repository in {path}, on {branch}.")], {"repository": path, "branch": branch})

    def add(self, call: Call, arguments: dict[str, Any]) -> ToolResult:
        """See the tool's description.

        Raises:
            ToolError: a path is not there.
        """
        paths = check_paths(arguments["paths"])
        with self._open(call, arguments) as repository:
            _stage(repository, paths)
            return _staged(repository)

    def restore(self, call: Call, arguments: dict[str, Any]) -> ToolResult:
        """See the tool's description.

        Raises:
            ToolError: a path is not known.
        """
        where = ["--staged"] if arguments["staged"] else ["--worktree"]
        paths = check_paths(arguments["paths"])
        with self._open(call, arguments) as repository:
            repository.run("restore", *where, "--no-recurse-submodules", "--", *paths)
            return _staged(repository)

    def commit(self, call: Call, arguments: dict[str, Any]) -> ToolResult:
        """See the tool's description.

        Raises:
            ToolError: nothing is staged.
        """
        with self._open(call, arguments) as repository:
            author = _author(arguments)
            options = ("--no-verify", "--no-gpg-sign", "--no-status", "--quiet", "--allow-empty-message", "--file=-")
            if not repository.run("diff", "--cached", "--name-only", "--no-ext-diff", "--ignore-submodules=dirty"):
                raise ToolError("Nothing is staged for a commit: stage files with add first.")
            repository.run(*author, "commit", *options, stdin=arguments["message"])
            told = _where(repository)
            listed = repository.run("diff-tree", "--root", "-r", "--no-commit-id", "--name-only", "-z", "HEAD")
        told["files"] = listed.count("\0")
        return ToolResult([text(f"Committed {told['commit'][:12]} on {told['branch']}, {told['files']} files.")], told)

    def branch_create(self, call: Call, arguments: dict[str, Any]) -> ToolResult:
        """See the tool's description.

        Raises:
            ToolError: there is one of that name, or no such start.
        """
        name = check_name(arguments["name"])
        start = check_revision(arguments["start"])
        with self._open(call, arguments) as repository:
            if arguments["switch"]:
                repository.run("switch", "--quiet", "--no-recurse-submodules", "--no-track", "--create", name, start)
            else:
                repository.run("branch", "--no-track", name, start)
            told = _where(repository)
        where = f"Now on {told['branch']}." if arguments["switch"] else f"Still on {told['branch']}."
        return ToolResult([text(f"Made {name}. {where}")], told)

    def switch(self, call: Call, arguments: dict[str, Any]) -> ToolResult:
        """See the tool's description.

        Raises:
            ToolError: there is no such branch, or changes would be lost.
        """
        with self._open(call, arguments) as repository:
            name = check_name(arguments["name"])
            repository.run(
                "switch", "--quiet", "--no-guess", "--no-recurse-submodules", "--ignore-other-worktrees", name
            )
            told = _where(repository)
        return ToolResult([text(f"Now on {told['branch']}.")], told)

    def fast_forward(self, call: Call, arguments: dict[str, Any]) -> ToolResult:
        """See the tool's description.

        Raises:
            ToolError: the branch has commits that the revision does not have.
        """
        revision = check_revision(arguments["revision"])
        with self._open(call, arguments) as repository:
            repository.run("merge", "--ff-only", "--quiet", "--no-verify", "--no-stat", revision)
            told = _where(repository)
        return ToolResult([text(f"{told['branch']} is at {(told['commit'] or '')[:12]}.")], told)


def _author(arguments: dict[str, Any]) -> list[str]:
    """Options that say who commits; without, it is who the repository's or our settings say."""
    found = []
    for key in ("name", "email"):
        value = arguments[f"author_{key}"]
        if value:
            if not value.isprintable() or set(value) & set("<>"):
                raise ToolError(f"author_{key} cannot have line breaks, < or >.")
            found += ["-c", f"user.{key}={value}"]
    return found


def _where(repository: Repository) -> dict[str, Any]:
    branch = repository.run("symbolic-ref", "--quiet", "--short", "HEAD", may_fail=True).strip()
    commit = repository.run("rev-parse", "--quiet", "--verify", "HEAD", may_fail=True).strip()
    return {"branch": branch or None, "commit": commit or None}


def _stage(repository: Repository, paths: list[str]) -> None:
    """As `git add` does, which looks into submodules, whatever it is told: there their settings would hold."""
    known = ("--cached", "--others", "--exclude-standard")
    repository.run("ls-files", *known, "--error-unmatch", "--", *paths)
    changed = repository.run(
        "ls-files", "-z", "--modified", "--deleted", "--others", "--exclude-standard", "--", *paths
    )
    files = dict.fromkeys(name for name in changed.split("\0") if name and not name.endswith("/"))
    if files:
        repository.run(
            "update-index", "--add", "--remove", "-z", "--stdin", stdin="".join(f"{name}\0" for name in files)
        )


def _staged(repository: Repository) -> ToolResult:
    said = repository.run("diff", "--cached", "--name-only", "--no-ext-diff", "--ignore-submodules=all", "-z")
    paths = [path for path in said.split("\0") if path]
    told: dict[str, Any] = {"staged": paths[:_MAX_PATHS], "complete": len(paths) <= _MAX_PATHS}
    return ToolResult([text("Staged: " + (", ".join(told["staged"]) or "nothing"))], told)
