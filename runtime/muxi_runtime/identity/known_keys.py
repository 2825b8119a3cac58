"""Keys that were good before: whether they still are is one look at their row, on the event loop.

Above: `gateway.http_auth`, which asks with each request. Below: `KeyStore`, which alone decides that a key is good, in
a thread; and the database, which is looked at each time, so that a key that any process has revoked, or a role that was
taken away, counts from the next request on. What is kept here is that a token was right, and what its row said then. A
row that says anything else, or cannot be read without waiting, sends the question to the `KeyStore`.
"""

from __future__ import annotations

import hashlib
import sqlite3
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from anyio import to_thread

from muxi_runtime.identity.keys import id_of
from muxi_runtime.identity.users import groups_of
from muxi_runtime.store.times import utc_text

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType

    from muxi_runtime.identity.keys import KeyStore
    from muxi_runtime.identity.principal import Principal

__all__ = ["KnownKeys"]

MOST = 1024
"""Tokens that are kept, by their digests; all are forgotten where there are more."""
ASK_SECONDS = 60
"""After this the `KeyStore` is asked again: it writes down that the key is used."""

_ROW = (
    'SELECT k.user, k.digest, k.expires_at, k.revoked_at, k.scopes, u.role, u."groups", u.state'
    " FROM keys AS k JOIN users AS u ON u.name = k.user WHERE k.id = ?"
)
_EXPIRES_AT = 2
Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class _Known:
    """A token that was right."""

    principal: Principal
    row: Row
    until: float
    """Monotonic seconds."""


class KnownKeys:
    """In front of a `KeyStore`, for one event loop. An async context manager; it opens nothing before it is asked."""

    def __init__(self, keys: KeyStore, database: Path, *, now: Callable[[], str] = utc_text) -> None:
        self._keys = keys
        self._now = now
        self._database = database
        self._connection: sqlite3.Connection | None = None
        self._known: dict[bytes, _Known] = {}

    async def __aenter__(self) -> Self:
        """Nothing is open yet."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the database."""
        self._close()

    async def authenticate(self, token: str) -> Principal:
        """As `KeyStore.authenticate`.

        Raises:
            KeyRefusedError: as there.
        """
        mark = hashlib.sha256(token.encode(errors="surrogatepass")).digest()
        key = id_of(token)
        row = self._row(key) if key is not None else None
        known = self._known.get(mark)
        if known is not None and known.row == row and self._is_usable(known):
            return known.principal
        self._known.pop(mark, None)
        # Asked after the row was read. What changes in between makes the next row another one, unless it is changed
        # back: so what was found then is kept only where the row says the same.
        principal = await to_thread.run_sync(self._keys.authenticate, token)
        if row is not None and _agree(row, principal):
            if len(self._known) >= MOST:
                self._known.clear()
            self._known[mark] = _Known(principal, row, time.monotonic() + ASK_SECONDS)
        return principal

    def _row(self, key: str) -> Row | None:
        """What the database says of a key now; `None` where there is none, or that cannot be told at once."""
        try:
            if self._connection is None:
                self._connection = _connect(self._database)
            rows = self._connection.execute(_ROW, (key,)).fetchall()  # all: what is read half holds its state of things
        except sqlite3.Error:
            self._close()
            return None
        return rows[0] if rows else None

    def _is_usable(self, known: _Known) -> bool:
        expires_at = known.row[_EXPIRES_AT]
        return time.monotonic() < known.until and (expires_at is None or self._now() < expires_at)

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()


def _agree(row: Row, principal: Principal) -> bool:
    """Whether the row by itself lets in just this caller."""
    user, _, _, revoked_at, scopes, role, groups, state = row
    said = (user, scopes if scopes is None else frozenset(scopes.split()), role, groups_of(groups))
    found = (principal.user, principal.scopes, principal.role.value, principal.groups)
    return said == found and revoked_at is None and state == "active"


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None, timeout=0)
    connection.execute("PRAGMA query_only = ON")
    return connection
