"""Where a server comes from, as a person writes it.

npm:@scope/name[@version]    a package for Node.js
pypi:name[==version]         a package for Python
oci:image[:tag][@digest]     an image that the engine has or can pull
path:folder                  a folder on this machine: a package of either kind
openapi:file or URL          a document of OpenAPI: an API whose operations become tools
https://host/path            a server that somebody else runs, spoken to over HTTP
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import StrEnum
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from muxi_runtime.errors import ConfigError

__all__ = ["Source", "SourceKind", "at_version", "parse_source"]

_NPM = re.compile(r"((?:@[a-z0-9~][a-z0-9._~-]*/)?[a-z0-9~][a-z0-9._~-]*)(?:@([A-Za-z0-9][A-Za-z0-9.+_-]*))?")
"""Name as npm's own rules have it for new packages; version or dist-tag, no range: what is installed is one thing."""
_PYPI = re.compile(r"([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)(?:==([A-Za-z0-9][A-Za-z0-9.!+_-]*))?")
"""Name as the packaging specifications have it; an exact version."""
_OCI = re.compile(r"([a-z0-9][a-zA-Z0-9._/:-]{0,400}?)(?:@(sha256:[0-9a-f]{64}))?")
_NAME = re.compile(r"[a-z][a-z0-9-]{0,31}")
_COMMON = re.compile(r"^(?:(?:mcp-)?server-|mcp-)|(?:-mcp-server|-server|-mcp)$")
_NO_NAMES = frozenset({"", "openapi", "swagger", "api", "api-docs", "spec", "schema", "index", "v1", "v2", "v3"})
"""What documents of OpenAPI are called whose host says more."""
MAX_TEXT = 2000


class SourceKind(StrEnum):
    """What kind of thing it is."""

    NPM = "npm"
    PYPI = "pypi"
    OCI = "oci"
    PATH = "path"
    OPENAPI = "openapi"
    URL = "url"


@dataclass(frozen=True, slots=True)
class Source:
    """One source.

    Attributes:
        name: of the package or image; the absolute folder or file; the URL.
        version: exact version, dist-tag or digest; empty for the newest.
    """

    kind: SourceKind
    name: str
    version: str = ""

    def __str__(self) -> str:
        """As it is written, see the module."""
        if self.kind is SourceKind.URL:
            return self.name
        between = "==" if self.kind is SourceKind.PYPI else "@"
        return f"{self.kind}:{self.name}{between + self.version if self.version else ''}"

    @property
    def is_url(self) -> bool:
        """Whether its name is one."""
        return self.name.startswith(("https://", "http://"))

    def at(self, version: str) -> Source:
        """The same with another version."""
        return replace(self, version=version)

    @property
    def suggested_name(self) -> str:
        """A name for the server: what is left of the source's own without the words that all of them have.

        Empty where nothing usable is left.
        """
        last = Path(self.name).name
        if self.kind is SourceKind.OPENAPI:
            last = Path(urlsplit(self.name).path).stem if self.is_url else Path(self.name).stem
        if self.kind is SourceKind.URL or (self.is_url and last.lower() in _NO_NAMES):
            last = urlsplit(self.name).hostname or ""
        words = re.sub(r"[^a-z0-9]+", "-", last.split(":")[0].lower()).strip("-")
        if words == "mcp" and "/" in self.name and self.kind is SourceKind.NPM:
            words = self.name.partition("/")[0].strip("@").lower()
        short = _COMMON.sub("", _COMMON.sub("", words)) or words
        short = short[:32].strip("-")
        return short if _NAME.fullmatch(short) else ""


def parse_source(text: str) -> Source:
    """Read what a person wrote. Touches no file and no network.

    Raises:
        ConfigError: it is none of the forms; says which there are.
    """
    if len(text) > MAX_TEXT or not text.isprintable():
        raise ConfigError("The source is too long or holds characters that none has.", remedy=_FORMS)
    if text.startswith(("https://", "http://")):
        return _url(text)
    kind, colon, rest = text.partition(":")
    if colon and kind == SourceKind.PATH:
        return Source(SourceKind.PATH, str(Path(rest).expanduser().absolute())) if rest else _refuse(text)
    if colon and kind == SourceKind.OPENAPI and rest:
        return _document(rest)
    pattern = _PATTERNS.get(kind)
    match = pattern.fullmatch(rest) if pattern is not None and colon else None
    if match is None:
        return _refuse(text)
    return Source(SourceKind(kind), match[1], match[2] or "")


def at_version(source: Source, version: str) -> Source:
    """The same source with another version; the newest for an empty one.

    Raises:
        ConfigError: it has no versions, or that is none.
    """
    if not version:
        return source.at("")
    if source.kind in {SourceKind.PATH, SourceKind.OPENAPI, SourceKind.URL}:
        raise ConfigError(f"{source} has no versions.", remedy="Leave --version out.")
    return parse_source(str(source.at(version)))


def _document(text: str) -> Source:
    """Of OpenAPI: a file, or a URL that may be unencrypted where its host is an address of a private network."""
    if not text.startswith(("https://", "http://")):
        return Source(SourceKind.OPENAPI, str(Path(text).expanduser().absolute()))
    return Source(SourceKind.OPENAPI, _url(text, private=True).name)


def _is_private(host: str) -> bool:
    try:
        return not ip_address(host).is_global
    except ValueError:
        return False


def _url(text: str, *, private: bool = False) -> Source:
    try:
        parts = urlsplit(text)
        usable = bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or parts.username is not None or parts.password is not None or parts.fragment:
        raise ConfigError(
            f"{text!r} is no URL of a server: it needs a host, and may hold no user, password or fragment.",
            remedy="Credentials do not belong into a URL, which ends up in logs.",
        )
    host = parts.hostname or ""
    is_near = host in {"localhost", "127.0.0.1", "::1"} or (private and _is_private(host))
    if parts.scheme == "http" and not is_near:
        raise ConfigError(
            f"{text!r} is not encrypted, and its host is not this machine.", remedy="Use its https:// address."
        )
    return Source(SourceKind.URL, text)


def _refuse(text: str) -> Source:
    raise ConfigError(f"{text!r} is no source of a server.", remedy=f"{_guess(text)}{_FORMS}")


def _guess(text: str) -> str:
    """What was probably meant, as a sentence; empty if there is no telling."""
    kind, colon, rest = text.partition(":")
    if text.startswith((".", "/", "~")):
        meant = f"openapi:{text}" if text.endswith((".yaml", ".yml")) else f"path:{text}"
    elif not colon and _NPM.fullmatch(text):
        meant = f"npm:{text} or pypi:{text.replace('@', '==')}"
    elif kind == SourceKind.PYPI and "@" in rest:
        meant = text.replace("@", "==")
    elif kind == SourceKind.NPM and "==" in rest:
        meant = text.replace("==", "@")
    else:
        return ""
    return f"Did you mean {meant}? "


_PATTERNS = {"npm": _NPM, "pypi": _PYPI, "oci": _OCI}
_FORMS = (
    "Use npm:@scope/name@version, pypi:name==version (each with or without the version), oci:image@digest, "
    "path:folder, openapi:file or openapi:https://host/path, https://host/path, or a server.json."
)
