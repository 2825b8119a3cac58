"""Arguments that become arguments of git's."""

from __future__ import annotations

from muxi_servers.git.settings import is_url, plain_name
from muxi_servers.kit.errors import ToolError

__all__ = ["check_name", "check_paths", "check_revision", "check_url"]

_REVISION = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/+@#{}^~")


def check_revision(revision: str, *, ranges: bool = False) -> str:
    """A commit, a branch, a tag, `HEAD~2` and the like; with `ranges` also `a..b`.

    Raises:
        ToolError: it is something else, such as an option.
    """
    odd = revision[:1] in {"", "-", ".", "/", "^", "{"} or not _REVISION.issuperset(revision)
    if odd or (".." in revision and not ranges):
        raise ToolError(f"{revision[:60]!r} is no revision: name a commit, a branch, a tag, or such as HEAD~2.")
    return revision


def check_name(name: str, what: str = "branch") -> str:
    """A name of a branch or of a remote.

    Raises:
        ToolError: it is none.
    """
    if not plain_name(name) or name == "HEAD":
        raise ToolError(f"{name[:60]!r} cannot be the name of a {what}: use letters, digits and . _ - /.")
    return name


def check_paths(paths: list[str]) -> list[str]:
    """Paths from the repository's top folder; git itself keeps them inside.

    Raises:
        ToolError: one has a NUL, or is absolute.
    """
    wrong = next((path for path in paths if "\0" in path or path.startswith("/")), None)
    if wrong is not None:
        raise ToolError(f"{wrong[:60]!r} is no path from the repository's top folder.")
    return paths


def check_url(url: str) -> str:
    """Where to clone from.

    Raises:
        ToolError: it is no plain URL of http or https.
    """
    if not is_url(url):
        raise ToolError(
            f"{url[:80]!r} cannot be cloned: only https:// and http:// URLs without a user and a password. "
            "Passwords are secrets of the operator's (GIT_TOKEN)."
        )
    return url
