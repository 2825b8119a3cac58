"""What the host's apt says about Debian mirrors: its sources, in both forms, and the options that lead there.

Formats: sources.list(5) and apt.conf(5).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Mirrors", "Source", "host_mirrors", "parse_deb822", "parse_one_line", "parse_options"]

CARRIED = ("Proxy", "Check-Valid-Until", "Check-Date")
"""Options below `Acquire` whose last part is one of these reach a build; all others stay on the host."""


@dataclass(frozen=True, slots=True)
class Source:
    """One place that apt takes packages from, for one suite."""

    uri: str
    suite: str
    components: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Mirrors:
    """Where Debian's archive and its security updates are, as this host reaches them.

    Attributes:
        archive: base URI of the main archive.
        security: base URI of the security archive, `None` if the host has none.
    """

    archive: str
    security: str | None = None

    def sources(self, suite: str) -> tuple[str, ...]:
        """One-line sources for a Debian suite such as `trixie`."""
        lines = [f"deb {self.archive} {suite} main", f"deb {self.archive} {suite}-updates main"]
        if self.security is not None:
            lines.append(f"deb {self.security} {suite}-security main")
        return tuple(lines)


def host_mirrors(root: Path = Path("/")) -> Mirrors | None:
    """The mirrors of a Debian host; `None` on another distribution, or without one that a build can reach."""
    release = _os_release(root / "etc/os-release")
    codename = release.get("VERSION_CODENAME", "")
    if release.get("ID") != "debian" or not codename:
        return None
    archive = security = None
    for source in _host_sources(root / "etc/apt"):
        if "main" not in source.components or not source.uri.startswith(("http://", "https://")):
            continue
        if source.suite in (codename, "stable"):
            archive = archive or source.uri
        elif source.suite in (f"{codename}-security", f"{codename}/updates", "stable-security"):
            security = security or source.uri
    return Mirrors(archive, security) if archive else None


def parse_one_line(text: str) -> Iterator[Source]:
    """Sources of the form `deb [options] URI suite component...`. What does not fit is left out."""
    for line in text.splitlines():
        match = re.match(r"\s*deb\s+(?:\[[^\]]*\]\s*)?(\S+)\s+(\S+)\s+([^#]*)", line)
        if match:
            uri, suite, components = match.groups()
            yield Source(uri.rstrip("/"), suite, tuple(components.split()))


def parse_deb822(text: str) -> Iterator[Source]:
    """Sources of the stanza form (`Types:`, `URIs:`, `Suites:`, `Components:`), without disabled ones."""
    for stanza in re.split(r"\n[ \t]*\n", text):
        fields = _fields(stanza)
        if "deb" not in fields.get("types", "").split() or fields.get("enabled", "yes").lower() in (
            "no",
            "false",
        ):
            continue
        components = tuple(fields.get("components", "").split())
        for uri in fields.get("uris", "").split():
            for suite in fields.get("suites", "").split():
                yield Source(uri.rstrip("/"), suite, components)


def parse_options(dump: str) -> tuple[str, ...]:
    """The lines of `apt-config dump` that a build needs to reach a mirror as the host does."""
    lines = []
    for line in dump.splitlines():
        match = re.fullmatch(r'Acquire::(\S+) "([^"]+)";', line.strip())
        if match and not match[1].endswith("::") and any(part in CARRIED for part in match[1].split("::")):
            lines.append(line.strip())
    return tuple(lines)


def _host_sources(apt: Path) -> Iterator[Source]:
    """In apt's own order. Files that this user may not read are left out: they may hold credentials."""
    for path in [apt / "sources.list", *sorted((apt / "sources.list.d").glob("*"))]:
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        if path.suffix == ".list":
            yield from parse_one_line(text)
        elif path.suffix == ".sources":
            yield from parse_deb822(text)


def _fields(stanza: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    name = ""
    for line in stanza.splitlines():
        if line.lstrip().startswith("#"):
            continue
        if line[:1] in (" ", "\t"):
            fields[name] = f"{fields.get(name, '')} {line.strip()}"
            continue
        name, _, value = line.partition(":")
        name = name.strip().lower()
        fields[name] = value.strip()
    return fields


def _os_release(path: Path) -> dict[str, str]:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError:
        return {}
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line)
    return {key.strip(): value.strip().strip("\"'") for key, _, value in pairs}
