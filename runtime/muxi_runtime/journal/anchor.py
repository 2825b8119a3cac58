"""The journal's newest event, remembered in a small file beside the database.

A chain proves that nothing inside it changed, not that its end is still there. The anchor notices a cut-off
end, and a chain that was rebuilt. Whoever can write both files can still change both: for that, keep the head
that `journal verify` prints on another machine and compare it with `--expect`.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

from muxi_runtime.errors import JournalError

__all__ = ["Anchor", "AnchorFile", "anchor_path"]

_HASH = re.compile(r"[0-9a-f]{64}")
_MAX_BYTES = 200


@dataclass(frozen=True, slots=True)
class Anchor:
    """That the event `seq` has this hash."""

    seq: int
    hash: str

    @classmethod
    def parse(cls, text: str) -> Anchor:
        """From `SEQ:HASH`.

        Raises:
            ValueError: it does not look so.
        """
        seq, colon, digest = text.strip().partition(":")
        if not (colon and seq.isascii() and seq.isdigit() and _HASH.fullmatch(digest)):
            raise ValueError(f"{text!r} is not SEQ:HASH, as `journal verify` prints it.")
        return cls(int(seq), digest)

    def __str__(self) -> str:
        return f"{self.seq}:{self.hash}"


def anchor_path(database: Path) -> Path:
    """Where the anchor of a database's journal lies."""
    return database.with_name("journal.head")


class AnchorFile:
    """Reads and moves the anchor. Several processes may: it only moves forwards, under a lock of the file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._own: tuple[bytes, int] | None = None
        """What was written here last, and its position: if it is there still, it need not be parsed."""

    def read(self) -> Anchor | None:
        """The anchor, `None` if there was never one.

        Raises:
            JournalError: the file cannot be read or is damaged.
        """
        try:
            text = self._path.read_text(encoding="ascii")
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise JournalError(f"The journal's head file {self._path} cannot be read: {error}.") from error
        return self._parse(text) if text.strip() else None

    def move(self, to: Anchor, *, flush: bool, backwards: bool = False, wait: bool = True) -> None:
        """Remember a newer event; `flush` waits for the disk. An older one is ignored unless `backwards`.

        Where another process is at it just now and `wait` is false, it is left for the next time.

        Raises:
            JournalError: the file cannot be written or is damaged.
        """
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise self._unwritable(error) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
            if backwards or self._is_newer(descriptor, to):
                # One write of one small block: a process that dies leaves the old or the new line, not half.
                line = json.dumps({"seq": to.seq, "hash": to.hash}).encode("ascii").ljust(128) + b"\n"
                os.pwrite(descriptor, line, 0)
                self._own = (line, to.seq)
            if flush:
                os.fsync(descriptor)
        except BlockingIOError:
            return
        except OSError as error:
            raise self._unwritable(error) from error
        finally:
            os.close(descriptor)

    def _is_newer(self, descriptor: int, to: Anchor) -> bool:
        found = os.pread(descriptor, _MAX_BYTES, 0)
        if self._own is not None and found == self._own[0]:
            return to.seq > self._own[1]
        text = found.decode("ascii", errors="replace")
        return not text.strip() or to.seq > self._parse(text).seq

    def _parse(self, text: str) -> Anchor:
        try:
            value = json.loads(text)
            seq, digest = value["seq"], value["hash"]
        except (ValueError, TypeError, KeyError) as error:
            raise self._damaged() from error
        if type(seq) is not int or not isinstance(digest, str) or not _HASH.fullmatch(digest):
            raise self._damaged()
        return Anchor(seq, digest)

    def _damaged(self) -> JournalError:
        return JournalError(
            f"The journal's head file {self._path} is damaged, or was changed.",
            remedy="Run `muxi-runtime journal verify`; then move the file away, and the loss is journalled.",
        )

    def _unwritable(self, error: OSError) -> JournalError:
        return JournalError(
            f"The journal's head file {self._path} cannot be written: {error.strerror}.",
            remedy="Make room on the disk, or mend the folder's permissions.",
        )
