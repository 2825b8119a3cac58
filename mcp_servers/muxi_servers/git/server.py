"""The tools of the `git` server."""

from __future__ import annotations

from muxi_servers.git.changing import COMMIT_OUTPUT, INIT_OUTPUT, STAGED_OUTPUT, WHERE_OUTPUT, Changing
from muxi_servers.git.history import DIFF_OUTPUT, LOG_OUTPUT, READ_OUTPUT, SHOW_OUTPUT, History
from muxi_servers.git.looking import BLAME_OUTPUT, BRANCHES_OUTPUT, STATUS_OUTPUT, Looking
from muxi_servers.git.remotes import CLONE_OUTPUT, FETCH_OUTPUT, PUSH_OUTPUT, Remotes
from muxi_servers.kit.server import Server
from muxi_servers.kit.tools import Tool, arguments_schema

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from muxi_servers.kit.launch import Launcher
    from muxi_servers.kit.tools import Function
    from muxi_servers.kit.workspace import Workspace

__all__ = ["build"]

_INFO = {"name": "muxi-git", "title": "Git", "version": "0.1.0"}
_INSTRUCTIONS = (
    "Git repositories in this task's workspace. A repository is named by its top folder. Its hooks, filters, aliases "
    "and other programs never run, and submodules are not looked into."
)
_REPOSITORY: dict[str, Any] = {
    "type": "string",
    "default": ".",
    "maxLength": 1_000,
    "description": "its top folder, relative to the workspace",
}
_PATH: dict[str, Any] = {"type": "string", "minLength": 1, "maxLength": 1_000}
_PATHS: dict[str, Any] = {
    "type": "array",
    "items": _PATH,
    "maxItems": 200,
    "description": "from the repository's top folder; folders stand for all in them",
}
_NAME: dict[str, Any] = {"type": "string", "minLength": 1, "maxLength": 200}
_OPTIONAL: dict[str, Any] = {"type": "string", "maxLength": 200, "default": ""}
_REVISION = {**_NAME, "default": "HEAD", "description": "commit, branch, tag, or such as HEAD~2"}
_FLAG: dict[str, Any] = {"type": "boolean", "default": False}
_REMOTE = {**_NAME, "default": "origin"}


def _limit(default: int, highest: int, lowest: int = 1) -> dict[str, Any]:
    return {"type": "integer", "minimum": lowest, "maximum": highest, "default": default}


def build(launcher: Launcher, workspace: Workspace) -> Server:
    """The server, ready to serve."""
    changing = Changing(launcher, workspace)
    return Server(
        _INFO,
        _INSTRUCTIONS,
        [
            *_looking_tools(Looking(launcher, workspace)),
            *_history_tools(History(launcher, workspace)),
            *_staging_tools(changing),
            *_branch_tools(changing),
            *_remote_tools(Remotes(launcher, workspace)),
        ],
    )


def _look(
    name: str, function: Function, title: str, description: str, arguments: dict[str, Any], output: dict[str, Any]
) -> Tool:
    return Tool(
        name,
        function,
        title=title,
        description=description,
        arguments=arguments_schema(repository=_REPOSITORY, **arguments),
        output=output,
        read_only=True,
        idempotent=True,
    )


def _looking_tools(looking: Looking) -> list[Tool]:
    return [
        _look(
            "status",
            looking.status,
            "Status",
            "The branch that is checked out, and which files are changed, staged or not known to git.",
            {},
            STATUS_OUTPUT,
        ),
        _look(
            "branches",
            looking.branches,
            "List branches",
            "Local branches and those known of remotes, each with its last commit.",
            {},
            BRANCHES_OUTPUT,
        ),
        _look(
            "blame",
            looking.blame,
            "Blame",
            "Which commit last changed each line of a file.",
            {
                "file": _PATH,
                "revision": {**_OPTIONAL, "description": "empty: the file as it is in the workspace"},
                "start_line": _limit(1, 1_000_000),
                "max_lines": _limit(200, 1_000),
            },
            BLAME_OUTPUT,
        ),
    ]


def _history_tools(history: History) -> list[Tool]:
    diff = {"paths": {**_PATHS, "default": []}, "context": _limit(3, 50, 0), "max_bytes": _limit(50_000, 1_000_000)}
    day = {**_OPTIONAL, "description": "a date, such as 2026-11-01"}
    return [
        _look(
            "log",
            history.log,
            "History",
            "Commits, the newest first.",
            {
                "revision": {**_REVISION, "description": "commit, branch or tag to begin at, or a range such as a..b"},
                "paths": {**_PATHS, "default": []},
                "author": {**_OPTIONAL, "description": "only with this text in the author's name or address"},
                "grep": {**_OPTIONAL, "description": "only with this text in the message"},
                "since": day,
                "until": day,
                "skip": _limit(0, 1_000_000, 0),
                "max_count": _limit(20, 200),
            },
            LOG_OUTPUT,
        ),
        _look(
            "show",
            history.show,
            "Show a commit",
            "One commit: its message, and what it changed (of a merge, against its first parent).",
            {"revision": _REVISION, **diff},
            SHOW_OUTPUT,
        ),
        _look(
            "diff",
            history.diff,
            "Differences",
            "What is different: between the workspace and what is staged, or with from and to between revisions.",
            {
                "staged": {**_FLAG, "description": "what is staged, against the last commit or from"},
                "from": {**_OPTIONAL, "description": "revision; empty: what is staged"},
                "to": {**_OPTIONAL, "description": "revision; empty: the workspace"},
                **diff,
            },
            DIFF_OUTPUT,
        ),
        _look(
            "read",
            history.read,
            "Read a file of a revision",
            "A text file as it was in a commit.",
            {"file": _PATH, "revision": _REVISION, "max_bytes": _limit(200_000, 2_000_000)},
            READ_OUTPUT,
        ),
    ]


def _staging_tools(changing: Changing) -> list[Tool]:
    paths = {**_PATHS, "minItems": 1}
    return [
        Tool(
            "init",
            changing.init,
            title="Make a repository",
            description="Make a new, empty repository in a folder of the workspace.",
            arguments=arguments_schema(repository=_REPOSITORY, branch={**_NAME, "default": "main"}),
            output=INIT_OUTPUT,
        ),
        Tool(
            "add",
            changing.add,
            title="Stage",
            description="Stage files for the next commit as they are now, removed ones included.",
            arguments=arguments_schema(repository=_REPOSITORY, paths=paths),
            output=STAGED_OUTPUT,
            idempotent=True,
        ),
        Tool(
            "restore",
            changing.restore,
            title="Restore",
            description="Undo changes of files: put back what is staged; with staged, take it out of the next commit.",
            arguments=arguments_schema(
                repository=_REPOSITORY, paths=paths, staged={**_FLAG, "description": "unstage; the files stay"}
            ),
            output=STAGED_OUTPUT,
            destructive=True,
            idempotent=True,
        ),
        Tool(
            "commit",
            changing.commit,
            title="Commit",
            description="Commit what is staged.",
            arguments=arguments_schema(
                repository=_REPOSITORY,
                message={"type": "string", "minLength": 1, "maxLength": 20_000},
                author_name={**_OPTIONAL, "description": "empty: as the repository's settings say, else muxi"},
                author_email=_OPTIONAL,
            ),
            output=COMMIT_OUTPUT,
        ),
    ]


def _branch_tools(changing: Changing) -> list[Tool]:
    return [
        Tool(
            "branch_create",
            changing.branch_create,
            title="Make a branch",
            description="Make a branch, and check it out unless told not to.",
            arguments=arguments_schema(
                repository=_REPOSITORY, name=_NAME, start=_REVISION, switch={"type": "boolean", "default": True}
            ),
            output=WHERE_OUTPUT,
        ),
        Tool(
            "switch",
            changing.switch,
            title="Switch branches",
            description="Check out another branch. Changes that would be lost stop it.",
            arguments=arguments_schema(repository=_REPOSITORY, name=_NAME),
            output=WHERE_OUTPUT,
            idempotent=True,
        ),
        Tool(
            "fast_forward",
            changing.fast_forward,
            title="Fast-forward",
            description="Move the branch that is checked out forward to a revision that goes on from it: origin/main.",
            arguments=arguments_schema(repository=_REPOSITORY, revision=_NAME),
            output=WHERE_OUTPUT,
            idempotent=True,
        ),
    ]


def _remote_tools(remotes: Remotes) -> list[Tool]:
    where = "over http or https, where the operator allowed the host"
    return [
        Tool(
            "clone",
            remotes.clone,
            title="Clone",
            description=f"Copy a repository into the workspace, {where}. Submodules stay empty.",
            arguments=arguments_schema(
                url={"type": "string", "minLength": 1, "maxLength": 500},
                repository={**_REPOSITORY, "default": "", "description": "folder to make; empty: the URL's last part"},
                branch={**_OPTIONAL, "description": "empty: the one that the other side names"},
                depth={**_limit(0, 100_000, 0), "description": "newest commits only; 0: all"},
            ),
            output=CLONE_OUTPUT,
            reaches=True,
        ),
        Tool(
            "fetch",
            remotes.fetch,
            title="Fetch",
            description=f"Get what is new from a remote, {where}. No branch of yours and no file changes.",
            arguments=arguments_schema(repository=_REPOSITORY, remote=_REMOTE, prune=_FLAG),
            output=FETCH_OUTPUT,
            idempotent=True,
            reaches=True,
        ),
        Tool(
            "push",
            remotes.push,
            title="Push",
            description=f"Send a branch to a remote, {where}. Never overwrites commits that the remote has.",
            arguments=arguments_schema(
                repository=_REPOSITORY, remote=_REMOTE, branch={**_OPTIONAL, "description": "empty: the current one"}
            ),
            output=PUSH_OUTPUT,
            destructive=True,
            idempotent=True,
            reaches=True,
        ),
    ]
