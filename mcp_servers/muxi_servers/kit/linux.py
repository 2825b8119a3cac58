"""System calls that the standard library does not offer, and the end of a process tree.

`_ctypes` is the C half of `ctypes`: the whole package costs a megabyte more for the same three calls.
"""

from __future__ import annotations

import os
from _ctypes import call_function, dlopen, dlsym
from time import monotonic, sleep

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["adopt_orphans", "descendants", "end_descendants", "reap", "set_dumpable", "wait_for_stop"]

_PR_SET_DUMPABLE = 4
_PR_SET_CHILD_SUBREAPER = 36
SIGKILL = 9
SIGCONT = 18
SIGSTOP = 19
_SHORTEST_PAUSE = 0.00001
_LONGEST_PAUSE = 0.001

_prctl = dlsym(dlopen(None, 0), "prctl")  # type: ignore[arg-type]  # None is this process, as for dlopen(3)


def _set(option: int, value: int) -> None:
    if call_function(_prctl, (option, value, 0, 0, 0)) != 0:
        raise OSError(f"prctl option {option} was refused")


def set_dumpable(*, on: bool) -> None:
    """Off: memory, descriptors and environment of this process cannot be read by others of the same user.

    Children inherit it until they call exec.

    Raises:
        OSError: the kernel refused.
    """
    _set(_PR_SET_DUMPABLE, int(on))


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends, so that a double fork does not get away.

    Raises:
        OSError: the kernel refused.
    """
    _set(_PR_SET_CHILD_SUBREAPER, 1)


def _living() -> Iterator[tuple[int, int, bytes]]:
    """(process, parent, state) of everything in /proc that is not dead already."""
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            fd = os.open(f"/proc/{name}/stat", os.O_RDONLY)
        except OSError:
            continue  # gone since the listing
        try:
            # pid (name, which may hold anything) state ppid ...
            state, parent = os.read(fd, 1024).rpartition(b")")[2].split(None, 2)[:2]
        except (OSError, ValueError):
            continue  # gone while it was read
        finally:
            os.close(fd)
        if state not in {b"Z", b"X"}:
            yield int(name), int(parent), state


def descendants(root: int, spare: int = 0, skip: frozenset[int] = frozenset()) -> dict[int, bytes]:
    """Living processes below `root` and their states.

    `spare` is left out, what is below it is not; each of `skip` is left out with all that is below it.
    """
    children: dict[int, list[int]] = {}
    states: dict[int, bytes] = {}
    for process, parent, state in _living():
        children.setdefault(parent, []).append(process)
        states[process] = state
    found: dict[int, bytes] = {}
    queue = list(children.get(root, ()))
    while queue:
        process = queue.pop()
        if process not in found and process not in skip:
            found[process] = states[process]
            queue.extend(children.get(process, ()))
    found.pop(spare, None)
    return found


def reap() -> dict[int, int]:
    """Wait for every child that has ended: its wait status by its id."""
    ended: dict[int, int] = {}
    while True:
        try:
            process, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return ended
        if process == 0:
            return ended
        ended[process] = status


def wait_for_stop(child: int, seconds: float = 5.0) -> tuple[bool, int | None]:
    """Wait until a child that was sent SIGSTOP stands still with all its threads; before that it can still fork.

    Returns whether it does, and its wait status if it has ended instead.
    """
    until = monotonic() + seconds
    pause = _SHORTEST_PAUSE
    while monotonic() < until:
        try:
            process, status = os.waitpid(child, os.WNOHANG | os.WUNTRACED)
        except ChildProcessError:
            return False, None
        if process == child:
            return (True, None) if os.WIFSTOPPED(status) else (False, status)
        sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)
    return False, None


class Ended:
    """What `end_descendants` did: how many there were, `reap`'s findings, and whether all are gone."""

    __slots__ = ("all_gone", "count", "statuses")

    def __init__(self) -> None:
        self.count = 0
        self.statuses: dict[int, int] = {}
        self.all_gone = False


def end_descendants(spare: int = 0, skip: frozenset[int] = frozenset(), seconds: float = 10.0) -> Ended:
    """Kill everything below this process, whatever it does against that; `spare` and `skip` as in `descendants`.

    First everything is stopped, until a look finds nothing that could still fork; then everything is killed, until a
    look finds nothing left.
    """
    until = monotonic() + seconds
    ended = Ended()
    if _is_childless():
        ended.all_gone = True
        return ended
    seen: set[int] = set()
    found = descendants(os.getpid(), spare, skip)
    while found and monotonic() < until:
        seen |= found.keys()
        running = [process for process, state in found.items() if state not in {b"T", b"t"}]
        _signal_all(running, SIGSTOP)
        if len(running) <= 1:
            break  # one alone has nothing to race with, and the loop below looks again
        found = descendants(os.getpid(), spare, skip)
    looks = 2 if found else 0  # one look is no snapshot: a process may be born behind it while its parent dies
    while looks and monotonic() < until:
        _signal_all(list(found), SIGKILL)
        sleep(0.0005)
        ended.statuses.update(reap())
        found = descendants(os.getpid(), spare, skip)
        seen |= found.keys()
        looks = 2 if found else looks - 1
    ended.statuses.update(reap())
    ended.all_gone = looks == 0
    ended.count = len(seen)
    return ended


def _is_childless() -> bool:
    """Whether nothing is below this process.

    It adopts orphans, and the kernel hands them over before their parent can be waited for: whatever lives below it has
    a child of its own at the top.
    """
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return True
    return False


def _signal_all(processes: list[int], number: int) -> None:
    for process in processes:
        try:
            os.kill(process, number)
        except ProcessLookupError:
            continue
