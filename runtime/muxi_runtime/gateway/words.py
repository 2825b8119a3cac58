"""What a task was told, by whom: the user's own words, and what servers gave back. See `policy.provenance`.

Above: the door and `giving`. Words are taken only from clients of users whom the operator trusts to tell them
(`policy.user_words_from`): a call whose values the user named is asked about less. As long as nobody has told any,
nothing is kept and nothing is known.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from muxi_runtime.catalog.labels import Label
from muxi_runtime.policy.provenance import Ledger, Origin

if TYPE_CHECKING:
    from collections.abc import Collection

    from muxi_runtime.gateway.task import Task

__all__ = ["TaskWords", "UserWords"]

MOST_TOLD = 1000
"""Different words of one user in one task; what is told beyond vouches for nothing."""


class TaskWords:
    """The words of one task, once its user's are known."""

    def __init__(self) -> None:
        self._ledger = Ledger()
        self._told: set[bytes] = set()

    def told(self, words: str) -> None:
        """The user wrote this. Clients may tell it with each call."""
        mark = hashlib.sha256(words.encode(errors="surrogatepass")).digest()
        if mark in self._told or len(self._told) >= MOST_TOLD:
            return
        self._told.add(mark)
        self._ledger.told_by_user(words)

    def missed(self) -> None:
        """Something came back before this was there: what is found nowhere may be a stranger's."""
        self._ledger.missed()

    def returned(self, value: object, *, untrusted: bool, private: bool) -> None:
        """A server gave this back: JSON values."""
        self._ledger.returned(value, untrusted=untrusted, private=private)

    def origins(self, arguments: Mapping[str, Any]) -> dict[str, Origin]:
        """Where each value of the arguments comes from, by its path."""
        return self._ledger.origins(arguments)


class UserWords:
    """Whose clients are believed."""

    def __init__(self, believed: Collection[str]) -> None:
        """`believed` are names of users."""
        self._believed = frozenset(believed)

    def take(self, task: Task | None, words: str) -> None:
        """What a client says that its user wrote in this task; ignored from one that is not believed."""
        if task is None or not words or task.principal.user not in self._believed:
            return
        if task.words is None:
            task.words = TaskWords()
            if Label.UNTRUSTED in task.labels:
                task.words.missed()
        task.words.told(words)
