"""Which Python package index this host's pip uses, for builds that install wheels.

Format: pip's configuration files and environment variables, https://pip.pypa.io/en/stable/topics/configuration/.
"""

from __future__ import annotations

import configparser
from collections.abc import Iterator, Mapping
from pathlib import Path

__all__ = ["host_pip_options"]

CARRIED = ("index-url", "extra-index-url", "trusted-host")
"""What reaches a build; all others stay on the host."""


def host_pip_options(environment: Mapping[str, str], root: Path = Path("/")) -> dict[str, str]:
    """Option to value; empty where pip's own defaults hold. What a build cannot reach, such as a folder, is left out.

    `root` is where the system's files are looked for, and the user's where `environment` has no HOME.
    """
    found: dict[str, str] = {}
    for path in _files(environment, root):
        found |= _options(path)
    for option in CARRIED:
        value = environment.get("PIP_" + option.replace("-", "_").upper())
        if value:
            found[option] = value
    reached = {option: _reached(option, value) for option, value in found.items()}
    return {option: value for option, value in reached.items() if value}


def _files(environment: Mapping[str, str], root: Path) -> Iterator[Path]:
    """In pip's own order: a later one wins."""
    home = Path(environment["HOME"]) if environment.get("HOME") else root
    yield root / "etc/pip.conf"
    yield home / ".pip/pip.conf"
    yield home / ".config/pip/pip.conf"
    if environment.get("PIP_CONFIG_FILE"):
        yield Path(environment["PIP_CONFIG_FILE"])


def _options(path: Path) -> dict[str, str]:
    parser = configparser.RawConfigParser()
    try:
        parser.read_string(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, configparser.Error):
        return {}
    found: dict[str, str] = {}
    for section in ("global", "install"):
        if parser.has_section(section):
            found |= {option: parser.get(section, option) for option in CARRIED if parser.has_option(section, option)}
    return found


def _reached(option: str, value: str) -> str:
    words = value.split()
    if option != "trusted-host":
        words = [word for word in words if word.startswith(("http://", "https://"))]
    return " ".join(words)
