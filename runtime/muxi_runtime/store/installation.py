"""The installation's own name: a random id, made once and kept in the home folder.

It labels every container, so that the reaper of one installation never touches another's.
"""

from __future__ import annotations

import os
import re
import secrets
from pathlib import Path

from muxi_runtime.errors import SetupError

__all__ = ["installation_id"]

_FILE = "installation"
_ID = re.compile(r"[0-9a-f]{16}")


def installation_id(home: Path) -> str:
    """The id, 16 hexadecimal digits; made on the first call, the same ever after, in every process.

    Raises:
        SetupError: the folder cannot be written to, or the file holds something else.
    """
    path = home / _FILE
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not path.exists():
            _create(path)
        found = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SetupError(
            f"The installation's id in {path} cannot be read or made: {error}.",
            step="home",
            remedy="Set MUXI_HOME to a folder that you may write to.",
        ) from error
    if not _ID.fullmatch(found):
        raise SetupError(
            f"{path} does not hold an installation id (16 hexadecimal digits).",
            step="home",
            remedy=f"Delete {path} while no runtime runs; older sandboxes must then be removed by hand.",
        )
    return found


def _create(path: Path) -> None:
    # Written aside, then linked: whoever comes second keeps the first one's id, and nobody reads half of one.
    draft = path.with_name(f"{_FILE}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, f"{secrets.token_hex(8)}\n".encode("ascii"))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
