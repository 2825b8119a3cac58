"""Peers live in places of their own below the user's cache, installed from locks with hashes, once per lock."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

__all__ = ["PeerMissingError", "node_place", "python_place", "version_in"]

HERE = Path(__file__).parent
INSTALL_SECONDS = 600
STAMP = ".installed"


class PeerMissingError(Exception):
    """A peer cannot be had here; the message says why, in a line."""


def python_place(name: str) -> Path:
    """The virtual environment of a Python peer, installed from `<name>.lock`.

    Raises:
        PeerMissingError: pip could not.
    """
    lock = HERE / f"{name}.lock"

    def install(place: Path) -> None:
        _run(sys.executable, "-m", "venv", place)
        pip = (place / "bin" / "python", "-m", "pip", "--disable-pip-version-check", "--quiet", "install")
        _run(*pip, "--require-hashes", "--no-deps", "--requirement", lock)

    return _place(name, [lock], install)


def node_place(name: str) -> Path:
    """The folder of a Node.js peer, whose `node_modules` are as the lock in `<name>/` says.

    Raises:
        PeerMissingError: npm is not here, or could not.
    """
    files = [HERE / name / file for file in ("package.json", "package-lock.json", ".npmrc")]

    def install(place: Path) -> None:
        place.mkdir(parents=True)
        for file in files:
            shutil.copy(file, place)
        _run("npm", "ci", "--silent", folder=place)

    return _place(name, files, install)


def version_in(text: str, name: str) -> str:
    """The version that a lock, or a package.json, gives for `name`."""
    found = re.search(rf'^ *"?{re.escape(name)}(?:==|": ")([^ "]+)', text, re.MULTILINE)
    return found.group(1) if found else "?"


def _place(name: str, locks: list[Path], install: Callable[[Path], None]) -> Path:
    digest = hashlib.sha256(sys.version.encode() + b"".join(lock.read_bytes() for lock in locks)).hexdigest()[:16]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    place = cache / "muxi-runtime" / "bench-peers" / f"{name}-{digest}"
    if not (place / STAMP).exists():
        shutil.rmtree(place, ignore_errors=True)  # what an installation that was broken off has left
        install(place)
        (place / STAMP).touch()
    return place


def _run(*command: str | Path, folder: Path | None = None) -> None:
    try:
        subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True, timeout=INSTALL_SECONDS)
    except FileNotFoundError:
        raise PeerMissingError(f"{command[0]} is not installed") from None
    except subprocess.TimeoutExpired:
        raise PeerMissingError(f"{command[0]} took over {INSTALL_SECONDS} s") from None
    except subprocess.CalledProcessError as error:
        last = (error.stderr.strip().splitlines() or [f"exit status {error.returncode}"])[-1]
        raise PeerMissingError(f"{Path(command[0]).name}: {last}") from None
