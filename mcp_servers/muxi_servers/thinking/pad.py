"""The thoughts of one task, in this process's memory alone: they end with the sandbox."""

from __future__ import annotations

from threading import Lock

from muxi_servers.kit.errors import ToolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["MAIN", "MAX_THOUGHTS", "Pad"]

MAIN = "main"
MAX_THOUGHTS = 500
_MAX_BRANCHES = 50


class _Thought:
    """One thought. `after` is the one that its branch begins after, `revises` the one that it stands in place of."""

    __slots__ = ("after", "branch", "number", "revised_by", "revises", "text")

    def __init__(self, number: int, text: str, branch: str, revises: int | None, after: int | None) -> None:
        self.number = number
        self.text = text
        self.branch = branch
        self.revises = revises
        self.after = after
        self.revised_by: int | None = None

    def to_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("number", "branch", "text", "revises", "revised_by", "after")}


class Pad:
    """Thread-safe. Thoughts are numbered from 1 over all branches, and never renumbered."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._thoughts: list[_Thought] = []

    def add(self, text: str, branch: str, revises: int | None, after: int | None) -> dict[str, Any]:
        """Note a thought; fits `thinking.server.THINK_OUTPUT`.

        Raises:
            ToolError: there are too many, or it revises or follows one that there is not.
        """
        with self._lock:
            if len(self._thoughts) >= MAX_THOUGHTS:
                raise ToolError(f"The pad holds {MAX_THOUGHTS} thoughts and is full: sum them up, then clear it.")
            branch = self._branch_of(branch, revises)
            self._check_start(branch, after)
            thought = _Thought(len(self._thoughts) + 1, text, branch, revises, after)
            if revises is not None:
                self._newest(revises).revised_by = thought.number
            self._thoughts.append(thought)
            return {
                "number": thought.number,
                "branch": branch,
                "revises": revises,
                "total": len(self._thoughts),
                "branches": self._branches(),
            }

    def line(self, branch: str, *, with_revised: bool) -> list[dict[str, Any]]:
        """The thoughts that lead to the end of a branch, in order; all thoughts if none is named.

        Raises:
            ToolError: there is no such branch.
        """
        with self._lock:
            if branch and branch not in self._branches() and branch != MAIN:
                raise ToolError(f"There is no branch {branch[:40]!r}; there are: {', '.join(self._branches())}.")
            found = self._lead(branch) if branch else self._thoughts
            return [thought.to_json() for thought in found if with_revised or thought.revised_by is None]

    def clear(self) -> int:
        """Forget everything; how many thoughts there were."""
        with self._lock:
            count = len(self._thoughts)
            self._thoughts.clear()
            return count

    def _branch_of(self, branch: str, revises: int | None) -> str:
        if revises is None:
            return branch or MAIN
        revised = self._newest(revises)
        if branch and branch != revised.branch:
            raise ToolError(f"Thought {revises} is on branch {revised.branch!r}: leave out branch to revise it.")
        return revised.branch

    def _check_start(self, branch: str, after: int | None) -> None:
        known = self._branches()
        if after is None:
            if branch != MAIN and branch not in known:
                raise ToolError(f"{branch!r} is a new branch: say after which thought it begins, with after.")
            return
        self._get(after)
        if branch == MAIN or branch in known:
            raise ToolError(f"Branch {branch!r} has begun already: leave out after, or name a new branch.")
        if len(known) >= _MAX_BRANCHES:
            raise ToolError(f"There are {_MAX_BRANCHES} branches: go on with one of them.")

    def _get(self, number: int) -> _Thought:
        if not 1 <= number <= len(self._thoughts):
            raise ToolError(f"There is no thought {number}; there are {len(self._thoughts)}, counted from 1.")
        return self._thoughts[number - 1]

    def _newest(self, number: int) -> _Thought:
        thought = self._get(number)
        if thought.revised_by is not None:
            raise ToolError(f"Thought {number} was revised by {thought.revised_by}: revise that one.")
        return thought

    def _branches(self) -> list[str]:
        return list(dict.fromkeys(thought.branch for thought in self._thoughts))

    def _lead(self, branch: str) -> list[_Thought]:
        """A branch's own thoughts, and before them those of the branches that it comes from, up to where it left."""
        found: list[_Thought] = []
        last = MAX_THOUGHTS
        while True:
            own = [thought for thought in self._thoughts if thought.branch == branch and thought.number <= last]
            found = own + found
            if not own or own[0].after is None:
                return found
            last = own[0].after
            branch = self._thoughts[last - 1].branch
