"""A repository's settings, as far as they may hold.

A repository is content: whoever wrote it wrote its `.git/config` too, and many keys there name programs that git then
runs (`core.fsmonitor`, `core.sshCommand`, `diff.*.command`, `filter.*.smudge`, `credential.helper`, aliases). So git
never reads that file here. What is known to be harmless is taken over into a file of our own; everything else is left
out, so that a key that a later git gives a meaning to is left out too.
"""

from __future__ import annotations

from muxi_servers.kit.errors import ToolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Key = tuple[str, str, str]

__all__ = ["is_url", "plain_name", "read_settings", "safe_settings", "write_settings"]

MAX_BYTES = 65_536
_MAX_VALUE = 500
_MAX_NAME = 200
_NAME = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/+@#")
_URL = _NAME | frozenset(":~%=&,!$()?")
_REFSPEC = _NAME | frozenset(":*")
_ESCAPES = {"n": "\n", "t": "\t", "b": "\b", '"': '"', "\\": "\\"}


def plain_name(name: str) -> bool:
    """Whether it can be the name of a branch or a remote, and nothing that git gives another meaning to."""
    parts = name.split("/")
    odd = ".." in name or name.endswith((".", ".lock")) or "@{" in name or name == "@"
    whole = all(part and part[0] not in "-." and not part.endswith(".lock") for part in parts)
    return bool(name) and len(name) <= _MAX_NAME and _NAME.issuperset(name) and whole and not odd


def is_url(text: str) -> bool:
    """Whether it is a URL of http or https without a user and a password."""
    scheme, slashes, rest = text.partition("://")
    host = rest.partition("/")[0]
    plain = bool(host) and host[0] not in "-." and "@" not in host
    return scheme in {"http", "https"} and bool(slashes) and plain and len(text) <= _MAX_VALUE and _URL.issuperset(rest)


def _one_of(*values: str) -> Callable[[str], bool]:
    return lambda value: value.lower() in values


def _is_refspec(value: str) -> bool:
    return bool(value) and value[0] != "-" and len(value) <= _MAX_VALUE and _REFSPEC.issuperset(value)


def _is_line(value: str) -> bool:
    return 0 < len(value) <= _MAX_NAME and value.isprintable()


_BOOLEAN = _one_of("true", "false", "yes", "no", "on", "off", "1", "0", "")
_SAFE: dict[tuple[str, str], Callable[[str], bool]] = {
    ("core", "repositoryformatversion"): _one_of("0", "1"),
    ("core", "filemode"): _BOOLEAN,
    ("core", "ignorecase"): _BOOLEAN,
    ("core", "symlinks"): _BOOLEAN,
    ("core", "autocrlf"): _one_of("true", "false", "input"),
    ("core", "eol"): _one_of("lf", "crlf", "native"),
    ("extensions", "objectformat"): _one_of("sha1", "sha256"),
    ("user", "name"): _is_line,
    ("user", "email"): _is_line,
}
_SAFE_BELOW: dict[tuple[str, str], Callable[[str], bool]] = {
    ("remote", "url"): is_url,
    ("remote", "pushurl"): is_url,
    ("remote", "fetch"): _is_refspec,
    ("branch", "remote"): plain_name,
    ("branch", "merge"): plain_name,
}


def read_settings(text: str) -> Iterator[tuple[Key, str]]:
    """((section, subsection, key), value) as they stand, names in lower case; what is not understood is passed over."""
    section, below = "", ""
    for line in text.replace("\\\n", "").split("\n"):
        line = line.strip()  # noqa: PLW2901 - the same line
        if line.startswith("["):
            head, _, line = line[1:].partition("]")  # noqa: PLW2901 - what stands after the head is a line again
            section, _, rest = head.partition(" ")
            section, below = section.lower(), rest.strip().removeprefix('"').removesuffix('"').replace("\\", "")
            line = line.strip()  # noqa: PLW2901 - as above
        if line and line[0] not in "#;":
            key, equals, value = line.partition("=")
            yield (section, below, key.strip().lower()), _unquote(value.strip()) if equals else "true"


def _unquote(value: str) -> str:
    """A value as git reads it: quotes gone, escapes resolved, a comment cut off."""
    found: list[str] = []
    quoted = escaped = False
    for character in value:
        if escaped:
            found.append(_ESCAPES.get(character, ""))
            escaped = False
        elif character == "\\":
            escaped = True
        elif character == '"':
            quoted = not quoted
        elif character in "#;" and not quoted:
            break
        else:
            found.append(character)
    return "".join(found).strip()


def safe_settings(text: str) -> list[tuple[Key, str]]:
    """Those that may hold.

    Raises:
        ToolError: the repository is of a kind that needs others.
    """
    found = []
    for (section, below, key), value in read_settings(text):
        if (section, key) == ("extensions", "refstorage") and value.lower() != "files":
            raise ToolError(f"This repository keeps its refs as {value[:40]!r}, which this server does not read.")
        if (section, key) == ("core", "bare") and value.lower() not in {"false", "no", "off", "0"}:
            raise ToolError("This repository is bare: it has no files to work with. Clone it into another folder.")
        checks = _SAFE_BELOW if below else _SAFE
        check = checks.get((section, key))
        if check and check(value) and (not below or plain_name(below)):
            found.append(((section, below, key), value))
    return found


def write_settings(settings: list[tuple[Key, str]]) -> str:
    """As git reads them."""
    lines = []
    for (section, below, key), value in settings:
        head = f'[{section} "{below}"]' if below else f"[{section}]"
        quoted = value.replace("\\", "\\\\").replace('"', '\\"')
        lines.append(f'{head}\n\t{key} = "{quoted}"\n')
    return "".join(lines)
