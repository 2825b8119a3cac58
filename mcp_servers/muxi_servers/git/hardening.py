"""What every git command here runs with: no program but git itself, and nothing of anybody else's settings."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from muxi_servers.kit.removal import TemporaryFolder

__all__ = ["NEW", "NO_REPOSITORY", "TOKEN", "adopted", "command", "write_global"]

TOKEN = "GIT_TOKEN"  # noqa: S105 - the name of a variable  # nosec B105
_GLOBAL = """\
[core]
\thooksPath = /dev/null
\tfsmonitor = false
\tattributesFile = /dev/null
\texcludesFile = /dev/null
\tsshCommand = false
\teditor = false
\tpager = cat
\tquotePath = false
[protocol]
\tallow = never
[protocol "http"]
\tallow = always
[protocol "https"]
\tallow = always
[transfer]
\tfsckObjects = true
[gc]
\tauto = 0
[maintenance]
\tauto = false
[submodule]
\trecurse = false
[fetch]
\trecurseSubmodules = false
[push]
\trecurseSubmodules = no
[diff]
\tignoreSubmodules = all
[status]
\tsubmoduleSummary = false
[commit]
\tgpgSign = false
[log]
\tshowSignature = false
[merge]
\tverifySignatures = false
[init]
\tdefaultBranch = main
\ttemplateDir =
[safe]
\tbareRepository = explicit
[user]
\tname = muxi
\temail = muxi@localhost
"""
_PRINT = r"printf 'username=x-access-token\\npassword=%s\\n' \"$GIT_TOKEN\""
_HELPER = f'[credential]\n\thelper = "!f() {{ test \\"$1\\" != get || {_PRINT}; }}; f"\n'
# No command here looks into submodules, where git would start another git, which reads the submodule's own settings.
# Should one do so all the same, these at least go with it: of all settings git hands on only those of the command line.
_HANDED_ON = ("-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "-c", "submodule.recurse=false")


# Where git is told that its repository is. Left to itself it looks for one in its folder and in all above it, and then
# obeys the `.git/config` that it finds: the workspace's own, which a program or a person's upload put there.
NO_REPOSITORY = ("GIT_DIR=/dev/null",)
NEW = ("GIT_DIR=.git",)


def adopted(common: str) -> tuple[str, ...]:
    """In the `.git` of its folder, with another folder in the place of all that it holds of settings and hooks."""
    return ("GIT_DIR=.git", "GIT_WORK_TREE=.", f"GIT_COMMON_DIR={common}")


def write_global(temporary: TemporaryFolder) -> str:
    """The settings that hold for every command; where they are."""
    return temporary.write("gitconfig", (_GLOBAL + (_HELPER if TOKEN in os.environ else "")).encode())


def command(temporary: TemporaryFolder, settings: str, where: tuple[str, ...], *arguments: str) -> list[str]:
    """`git ARGUMENTS` with its environment; `where` is `NO_REPOSITORY`, `NEW` or what `adopted` returns.

    Raises:
        ValueError: it says nothing, so git would look for a repository.
    """
    if not where or where[0] == "GIT_DIR=" or not where[0].startswith("GIT_DIR="):
        raise ValueError("git runs only where it is told which repository is meant")
    return [
        *("env", f"HOME={temporary.path}", "GIT_CONFIG_NOSYSTEM=1", f"GIT_CONFIG_GLOBAL={settings}"),
        *("GIT_ATTR_NOSYSTEM=1", "GIT_ALLOW_PROTOCOL=http:https", "GIT_PROTOCOL_FROM_USER=0", "GIT_TERMINAL_PROMPT=0"),
        *("GIT_OPTIONAL_LOCKS=0", "GIT_LITERAL_PATHSPECS=1", "GIT_NO_REPLACE_OBJECTS=1", "GIT_PAGER=cat"),
        *("GIT_EDITOR=false", "GIT_NO_LAZY_FETCH=1", f"GIT_CEILING_DIRECTORIES={temporary.path}", *where),
        *("git", "--no-pager", *_HANDED_ON, *arguments),
    ]
