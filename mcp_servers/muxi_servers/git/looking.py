"""The tools `status`, `branches` and `blame`: where a repository stands."""

from __future__ import annotations

from muxi_servers.git.checks import check_paths, check_revision
from muxi_servers.git.repository import Repository
from muxi_servers.kit.content import ToolResult, text
from muxi_servers.kit.tools import object_schema

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from muxi_servers.kit.call import Call
    from muxi_servers.kit.launch import Launcher
    from muxi_servers.kit.workspace import Workspace

__all__ = ["BLAME_OUTPUT", "BRANCHES_OUTPUT", "STATUS_OUTPUT", "Looking"]

_MAX_ENTRIES = 1_000
_STATES = {
    "M": "modified",
    "T": "type changed",
    "A": "added",
    "D": "deleted",
    "R": "renamed",
    "C": "copied",
    "U": "unmerged",
    ".": "",
}
_COUNT = {"type": "integer", "minimum": 0}
_TEXT = {"type": "string"}
_MAYBE = {"type": ["string", "null"]}
_COMPLETE = {"type": "boolean", "description": f"false if there are more than {_MAX_ENTRIES}"}
STATUS_OUTPUT = object_schema(
    {
        "branch": {**_MAYBE, "description": "null: no branch is checked out"},
        "commit": {**_MAYBE, "description": "null: there is none yet"},
        "upstream": _MAYBE,
        "ahead": _COUNT,
        "behind": _COUNT,
        "entries": {
            "type": "array",
            "items": object_schema(
                {
                    "path": _TEXT,
                    "staged": {**_TEXT, "description": "what the next commit does with it; empty: nothing"},
                    "unstaged": {
                        **_TEXT,
                        "description": "what is changed beyond that; untracked: git does not know it",
                    },
                    "original": {**_MAYBE, "description": "of a renamed file"},
                }
            ),
        },
        "complete": _COMPLETE,
    }
)
BRANCHES_OUTPUT = object_schema(
    {
        "branches": {
            "type": "array",
            "items": object_schema(
                {
                    "name": _TEXT,
                    "remote": {"type": "boolean"},
                    "current": {"type": "boolean"},
                    "commit": _TEXT,
                    "date": _TEXT,
                    "subject": _TEXT,
                }
            ),
        },
        "complete": _COMPLETE,
    }
)
BLAME_OUTPUT = object_schema(
    {
        "lines": {
            "type": "array",
            "items": object_schema(
                {
                    "line": {"type": "integer", "minimum": 1},
                    "commit": {**_TEXT, "description": "all zeros: not committed yet"},
                    "author": _TEXT,
                    "unix_seconds": {"type": "integer"},
                    "summary": _TEXT,
                    "text": _TEXT,
                }
            ),
        }
    }
)


class Looking:
    """Changes nothing."""

    def __init__(self, launcher: Launcher, workspace: Workspace) -> None:
        self._launcher = launcher
        self._workspace = workspace

    def _open(self, call: Call, arguments: dict[str, Any]) -> Repository:
        return Repository(self._launcher, self._workspace, call, arguments["repository"])

    def status(self, call: Call, arguments: dict[str, Any]) -> ToolResult:
        """See the tool's description.

        Raises:
            ToolError: there is no repository.
        """
        with self._open(call, arguments) as repository:
            said = repository.run(
                "status", "--porcelain=v2", "-z", "--branch", "--untracked-files=normal", "--ignore-submodules=all"
            )
        told = read_status(said)
        return ToolResult([text(_status_words(told))], told)

    def branches(self, call: Call, arguments: dict[str, Any]) -> ToolResult:
        """See the tool's description.

        Raises:
            ToolError: there is no repository.
        """
        form = "%(refname)%00%(HEAD)%00%(objectname)%00%(committerdate:iso-strict)%00%(contents:subject)%00"
        with self._open(call, arguments) as repository:
            said = repository.run(
                "for-each-ref", f"--count={_MAX_ENTRIES + 1}", f"--format={form}", "refs/heads", "refs/remotes"
            )
        fields = said.split("\0")
        rows = [fields[at : at + 5] for at in range(0, len(fields) - 5, 5)]
        found = [_branch(row) for row in rows[:_MAX_ENTRIES] if not row[0].endswith("/HEAD")]
        lines = [
            f"{'*' if one['current'] else ' '} {one['name']} {one['commit'][:12]} {one['subject']}" for one in found
        ]
        told = {"branches": found, "complete": len(rows) <= _MAX_ENTRIES}
        return ToolResult([text("\n".join(lines) or "[no branch yet: there is no commit]")], told)

    def blame(self, call: Call, arguments: dict[str, Any]) -> ToolResult:
        """See the tool's description.

        Raises:
            ToolError: there is no such file or revision.
        """
        revision = [check_revision(arguments["revision"])] if arguments["revision"] else []
        (path,) = check_paths([arguments["file"]])
        first = int(arguments["start_line"])
        last = first + int(arguments["max_lines"]) - 1
        with self._open(call, arguments) as repository:
            said = repository.run("blame", "--line-porcelain", f"-L{first},{last}", *revision, "--", path)
        told = {"lines": read_blame(said)}
        words = [f"{one['line']} {one['commit'][:12]} {one['author']}: {one['text']}" for one in told["lines"]]
        return ToolResult([text("\n".join(words))], told)


def read_status(said: str) -> dict[str, Any]:
    """Of `git status --porcelain=v2 -z --branch`; fits `STATUS_OUTPUT`."""
    told: dict[str, Any] = {"branch": None, "commit": None, "upstream": None, "ahead": 0, "behind": 0, "entries": []}
    parts = iter(said.split("\0"))
    for part in parts:
        kind, _, rest = part.partition(" ")
        if kind == "#":
            _read_head(told, *rest.partition(" ")[::2])
        elif kind in {"1", "2", "u"}:
            # The path stands after 7 fields, after 8 of a rename, after 9 of a conflict.
            fields = rest.split(" ", {"1": 7, "2": 8, "u": 9}[kind])
            original = next(parts) if kind == "2" else None
            told["entries"].append(_entry(fields[-1], fields[0], original))
        elif kind == "?":
            told["entries"].append({"path": rest, "staged": "", "unstaged": "untracked", "original": None})
    told["complete"] = len(told["entries"]) <= _MAX_ENTRIES
    del told["entries"][_MAX_ENTRIES:]
    return told


def _read_head(told: dict[str, Any], key: str, value: str) -> None:
    if key == "branch.oid":
        told["commit"] = None if value.startswith("(") else value
    elif key == "branch.head":
        told["branch"] = None if value.startswith("(") else value
    elif key == "branch.upstream":
        told["upstream"] = value
    elif key == "branch.ab":
        ahead, behind = value.split(" ")
        told["ahead"], told["behind"] = int(ahead), -int(behind)


def _entry(path: str, states: str, original: str | None) -> dict[str, Any]:
    staged, unstaged = (_STATES.get(letter, letter) for letter in states)
    return {"path": path, "staged": staged, "unstaged": unstaged, "original": original}


def _status_words(told: dict[str, Any]) -> str:
    where = told["branch"] or "no branch"
    lines = [f"On {where}" + (f", {told['ahead']} ahead and {told['behind']} behind" if told["upstream"] else "")]
    for entry in told["entries"]:
        states = [f"staged: {entry['staged']}"] if entry["staged"] else []
        states += [entry["unstaged"]] if entry["unstaged"] else []
        lines.append(f"{entry['path']} ({', '.join(states)})")
    if not told["entries"]:
        lines.append("nothing is changed")
    return "\n".join(lines if told["complete"] else [*lines, "[and more]"])


def _branch(row: list[str]) -> dict[str, Any]:
    name = row[0].removeprefix("\n")
    remote = name.startswith("refs/remotes/")
    return {
        "name": name.removeprefix("refs/remotes/" if remote else "refs/heads/"),
        "remote": remote,
        "current": row[1] == "*",
        "commit": row[2],
        "date": row[3],
        "subject": row[4],
    }


def read_blame(said: str) -> list[dict[str, Any]]:
    """Of `git blame --line-porcelain`."""
    found: list[dict[str, Any]] = []
    fields: dict[str, str] = {}
    for line in said.split("\n"):
        if line.startswith("\t"):
            found.append(
                {
                    "line": int(fields["number"]),
                    "commit": fields["commit"],
                    "author": fields.get("author", ""),
                    "unix_seconds": int(fields.get("author-time", "0")),
                    "summary": fields.get("summary", ""),
                    "text": line[1:],
                }
            )
            fields = {}
        elif not fields and line:
            fields = dict(zip(("commit", "origin", "number"), line.split(" "), strict=False))
        elif line:
            key, _, value = line.partition(" ")
            fields[key] = value
    return found
