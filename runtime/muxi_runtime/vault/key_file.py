"""The keys that values of secrets are encrypted with: a small file that only its owner may read.

    1f0c9e4b7a2d3355 64 hexadecimal digits
    ...

A line a key: its id and its 32 bytes. The first is what is written with; there are others only while `secrets rotate
--key` moves the values from an old one to a new one, so that a crash in between loses nothing.
"""

from __future__ import annotations

import os
import re
import secrets
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from muxi_runtime.errors import VaultError

__all__ = ["KEY_BYTES", "Key", "KeyFile", "new_key"]

KEY_BYTES = 32
ID_BYTES = 8
LINE = re.compile(rf"([0-9a-f]{{{2 * ID_BYTES}}}) ([0-9a-f]{{{2 * KEY_BYTES}}})")
MOST_BYTES = 4096
OTHERS = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True, slots=True)
class Key:
    """One key. Its bytes are in no text form of it."""

    id: str
    material: bytes = field(repr=False)


def new_key() -> Key:
    """A random one."""
    return Key(secrets.token_hex(ID_BYTES), secrets.token_bytes(KEY_BYTES))


class KeyFile:
    """See the module. Calls block for a fraction of a millisecond."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> tuple[Key, ...]:
        """All keys, the one to write with first; empty where there is no file.

        Raises:
            VaultError: it cannot be read, others may read it, or it holds something else.
        """
        try:
            text = self._text()
        except FileNotFoundError:
            return ()
        except (OSError, UnicodeDecodeError) as error:
            raise VaultError(
                f"The key of the vault in {self.path} cannot be read: {error}.",
                remedy="Give the file back to the user that the runtime runs as, or restore it from a backup.",
            ) from error
        matches = [LINE.fullmatch(line) for line in text.splitlines()]
        keys = tuple(Key(match[1], bytes.fromhex(match[2])) for match in matches if match)
        if not keys or len(keys) != len(matches):
            raise VaultError(
                f"{self.path} does not hold a key of the vault.",
                remedy="Restore it from a backup. If it is lost, move it away, and set the secrets anew.",
            )
        return keys

    def write(self, keys: Sequence[Key]) -> None:
        """Replace the file as a whole, durably.

        Raises:
            VaultError: it cannot be written.
        """
        draft = self.path.with_name(f".{self.path.name}.{secrets.token_hex(4)}")
        text = "".join(f"{key.id} {key.material.hex()}\n" for key in keys)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            _write_private(draft, text.encode("ascii"))
            draft.replace(self.path)
            _sync_folder(self.path.parent)
        except OSError as error:
            draft.unlink(missing_ok=True)
            raise VaultError(
                f"The key of the vault in {self.path} cannot be written: {error.strerror}.",
                remedy="Make room there, or name another place: secrets.key_file in muxi.yaml.",
            ) from error

    def _text(self) -> str:
        descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        with os.fdopen(descriptor, "rb") as file:
            mode = os.fstat(descriptor).st_mode
            if not stat.S_ISREG(mode) or mode & OTHERS:
                raise VaultError(
                    f"The key of the vault in {self.path} may be read by others than its owner.",
                    remedy=f"chmod 600 {self.path}",
                )
            return file.read(MOST_BYTES).decode("ascii")


def _write_private(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, data)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
