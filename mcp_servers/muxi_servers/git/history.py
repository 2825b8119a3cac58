"""The tools `log`, `show`, `diff` and `read`: what was, and what is different."""

from __future__ import annotations

from muxi_servers.git.checks import check_paths, check_revision
from muxi_servers.git.repository import Repository
from muxi_servers.kit.content import ToolResult, text
from muxi_servers.kit.errors import ToolError
from muxi_servers.kit.tools import object_schema

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from muxi_servers.kit.call import Call
    from muxi_servers.kit.launch import Launcher
    from muxi_servers.kit.workspace import Workspace

__all__ = ["DIFF_OUTPUT", "LOG_OUTPUT", "READ_OUTPUT", "SHOW_OUTPUT", "History"]

_TEXT = {"type": "string"}
_COMMIT_PROPERTIES: dict[str, dict[str, Any]] = {
    "commit": _TEXT,
    "parents": {"type": "array", "items": _TEXT},
    "author": _TEXT,
    "email": _TEXT,
    "date": {**_TEXT, "description": "of the author's, ISO 8601"},
    "subject": _TEXT,
    "body": _TEXT,
}
_DIFF_PROPERTIES: dict[str, dict[str, Any]] = {
    "files": {
        "type": "array",
        "items": object_schema(
            {
                "path": _TEXT,
                "added": {"type": ["integer", "null"], "description": "lines; null of a binary file"},
                "deleted": {"type": ["integer", "null"]},
            }
        ),
    },
    "diff": {**_TEXT, "description": "unified"},
    "truncated": {"type": "boolean", "description": "whether the diff goes on"},
}
LOG_OUTPUT = object_schema(
    {"commits": {"type": "array", "items": object_schema(_COMMIT_PROPERTIES)}, "complete": {"type": "boolean"}}
)
SHOW_OUTPUT = object_schema({**_COMMIT_PROPERTIES, **_DIFF_PROPERTIES})
DIFF_OUTPUT = object_schema(_DIFF_PROPERTIES)
READ_OUTPUT = object_schema(
    {"text": _TEXT, "size_bytes": {"type": "integer", "minimum": 0}, "truncated": {"type": "boolean"}}
)
_FORMAT = "--format=%H%x00%P%x00%an%x00%ae%x00%aI%x00%s%x00%b%x00"
_FIELDS = 7
_MAX_FILES = 1_000
# Nothing that the repository names is run, and submodules are not looked into.
_PLAIN = ("--no-ext-diff", "--no-textconv", "--ignore-submodules=all", "--no-color")


class History:
    """Changes nothing."""

    def __init__(self, launcher: Launcher, workspace: Workspace) -> None:
        self._launcher = launcher
        self._workspace = workspace

    def _open(self, call: Call, arguments: dict[str, Any]) -> Repository:
        return Repository(self._launcher, self._workspace, call, arguments["repository"])

    def log(self, call: Call, arguments: dict[str, Any]) -> ToolResult:
        """See the tool's description.

        Raises:
            ToolError: there is no such revision.
        """
        count = int(arguments["max_count"])
        options = [f"--max-count={count + 1}", f"--skip={int(arguments['skip'])}", "--fixed-strings", _FORMAT]
        options += [f"--{name}={arguments[name]}" for name in ("author", "grep", "since", "until") if arguments[name]]
        if any("\0" in option for option in options):
            raise ToolError("An argument cannot have a NUL character in it.")
        revision = check_revision(arguments["revision"], ranges=True)
        with self._open(call, arguments) as repository:
            said = repository.run("log", *options, revision, "--", *check_paths(arguments["paths"]))
        found = _read_commits(said)
        told: dict[str, Any] = {"commits": found[:count], "complete": len(found) <= count}
        lines = [f"{one['commit'][:12]} {one['date']} {one['author']}: {one['subject']}" for one in told["commits"]]
        more = [] if told["complete"] else [f"[and more: go on with skip {int(arguments['skip']) + count}]"]
        return ToolResult([text("\n".join([*lines, *more]) or "[no commit fits]")], told)

    def show(self, call: Call, arguments: dict[str, Any]) -> ToolResult:
        """See the tool's description.

        Raises:
            ToolError: there is no such commit.
        """
        revision = f"{check_revision(arguments['revision'])}^{{commit}}"
        paths = ["--", *check_paths(arguments["paths"])]
        with self._open(call, arguments) as repository:
            commit = _read_commits(repository.run("log", "--max-count=1", _FORMAT, revision))[0]
            options = ("diff-tree", "--root", "-r", "-m", "--first-parent", "--no-commit-id", *_PLAIN)
            told = {**commit, **_diff(repository, arguments, [*options], [revision, *paths])}
        words = (
            f"commit {commit['commit']}\n{commit['author']}, {commit['date']}\n\n{commit['subject']}\n{commit['body']}"
        )
        return ToolResult([text(f"{words}\n{_diff_words(told)}")], told)

    def diff(self, call: Call, arguments: dict[str, Any]) -> ToolResult:
        """See the tool's description.

        Raises:
            ToolError: there is no such revision.
        """
        if arguments["staged"] and arguments["to"]:
            raise ToolError("Give staged or to, not both: staged compares with what the next commit would be.")
        revisions = [check_revision(arguments[name]) for name in ("from", "to") if arguments[name]]
        if arguments["to"] and not arguments["from"]:
            raise ToolError("Give from too: the revision to compare with.")
        staged = ["--cached"] if arguments["staged"] else []
        with self._open(call, arguments) as repository:
            paths = ["--", *check_paths(arguments["paths"])]
            told = _diff(repository, arguments, ["diff", *staged, *_PLAIN], [*revisions, *paths])
        return ToolResult([text(_diff_words(told))], told)

    def read(self, call: Call, arguments: dict[str, Any]) -> ToolResult:
        """See the tool's description.

        Raises:
            ToolError: there is no such file in that revision.
        """
        revision = check_revision(arguments["revision"])
        (path,) = check_paths([arguments["file"]])
        with self._open(call, arguments) as repository:
            size = int(repository.run("cat-file", "-s", f"{revision}:{path}"))
            content, cut = repository.cut(int(arguments["max_bytes"]), "cat-file", "blob", f"{revision}:{path}")
        return ToolResult([text(content)], {"text": content, "size_bytes": size, "truncated": cut})


def _read_commits(said: str) -> list[dict[str, Any]]:
    fields = said.split("\0")
    found = []
    for at in range(0, len(fields) - _FIELDS, _FIELDS):
        commit, parents, author, email, date, subject, body = fields[at : at + _FIELDS]
        found.append(
            {
                "commit": commit.strip(),
                "parents": parents.split(),
                "author": author,
                "email": email,
                "date": date,
                "subject": subject,
                "body": body.strip(),
            }
        )
    return found


def _diff(repository: Repository, arguments: dict[str, Any], options: list[str], what: list[str]) -> dict[str, Any]:
    files = _read_numbers(repository.run(*options, "--numstat", "--no-renames", "-z", *what))
    context = f"--unified={int(arguments['context'])}"
    diff, cut = repository.cut(int(arguments["max_bytes"]), *options, "--patch", "--no-renames", context, *what)
    return {"files": files[:_MAX_FILES], "diff": diff, "truncated": cut or len(files) > _MAX_FILES}


def _read_numbers(said: str) -> list[dict[str, Any]]:
    found = []
    for line in said.split("\0"):
        if line:
            added, deleted, path = line.split("\t", 2)
            numbers = [int(number) if number.isdigit() else None for number in (added, deleted)]
            found.append({"path": path, "added": numbers[0], "deleted": numbers[1]})
    return found


def _diff_words(told: dict[str, Any]) -> str:
    if not told["files"]:
        return "[no difference]"
    return str(told["diff"]) + ("\n[cut: name paths, or raise max_bytes]" if told["truncated"] else "")
