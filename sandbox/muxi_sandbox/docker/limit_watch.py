"""Which limits the kernel had to enforce on one container: its cgroup's counters, and file systems that are full.

Read on the host, so that any server's sandbox tells, whatever runs inside. Where the host does not see the container's
cgroup (a runtime in a container of its own), nothing is known, and nothing is said.

Counters: `memory.oom_control` and `pids.events` of cgroup v1, `memory.events` and `pids.events` of v2
(Documentation/admin-guide/cgroup-v1, cgroup-v2.rst).
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from muxi_sandbox.contract import LimitHit, Limits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["LimitWatch"]

CGROUPS = Path("/sys/fs/cgroup")
PLACES = ("docker/{id}", "system.slice/docker-{id}.scope")
"""Where an engine puts a container, with cgroupfs and with systemd."""
COUNTERS = {
    "memory_mib": (("memory", "memory.oom_control", "oom_kill"), ("", "memory.events", "oom_kill")),
    "pids": (("pids", "pids.events", "max"), ("", "pids.events", "max")),
}
"""By limit: controller (v1 only), file and line, for v1 and v2."""


PROCESSES = Path("/proc")
TMP_FLAGS = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
"""A link in the sandbox's image would be followed on the host."""
_MOST_BYTES = 4096


class LimitWatch:
    """Asked after each call; counts from the last time it was asked."""

    def __init__(self, container: str, limits: Limits, workspace: Callable[[], Path | None]) -> None:
        """`workspace` is where the host sees the task's files, once there are any."""
        self._container = container
        self._limits = limits
        self._workspace = workspace
        self._counters: dict[str, _Counter] | None = None
        self._processes = ""
        self._tmp = -1
        """The sandbox's own /tmp, held open: a process's number in a path may be another's before long."""

    def hits(self) -> tuple[LimitHit, ...]:
        """Limits reached since the last call. Never raises: what cannot be read is not known."""
        if self._counters is None:
            self._counters = self._find()
        names = [*self._counted(), *self._full_workspace()]
        names += self._full_tmp()
        return tuple(LimitHit(name, getattr(self._limits, name)) for name in names)

    def close(self) -> None:
        """Let go of what is held open. Nothing is counted any more."""
        counters, self._counters = self._counters or {}, {}
        for counter in counters.values():
            counter.close()
        self._processes = ""
        if self._tmp >= 0:
            os.close(self._tmp)
            self._tmp = -1

    def _find(self) -> dict[str, _Counter]:
        found: dict[str, _Counter] = {}
        for limit, sources in COUNTERS.items():
            for controller, file, line in sources:
                for place in PLACES:
                    path = CGROUPS / controller / place.format(id=self._container) / file
                    if limit not in found and path.exists():
                        found[limit] = _Counter(path, line)
                        self._processes = str(path.with_name("cgroup.procs"))
        return found

    def _counted(self) -> Iterator[str]:
        for limit, counter in (self._counters or {}).items():
            if counter.has_grown():
                yield limit

    def _full_workspace(self) -> Iterator[str]:
        folder = self._workspace()
        if folder is not None:
            with suppress(OSError):
                yield from _full(os.statvfs(folder), "workspace_mib", "workspace_inodes")

    def _full_tmp(self) -> Iterator[str]:
        if self._tmp < 0:
            self._tmp = self._open_tmp()
        if self._tmp >= 0:
            with suppress(OSError):
                yield from _full(os.fstatvfs(self._tmp), "tmp_mib", None)

    def _open_tmp(self) -> int:
        """By way of any of the sandbox's processes, for root only; -1 if it cannot be opened."""
        process = _first(self._processes)
        if not process:
            return -1
        try:
            opened = os.open(f"{PROCESSES}/{process}/root/tmp", TMP_FLAGS)
        except OSError:
            return -1
        # What was opened is the sandbox's if the process was in it then: it is in it still, and none leaves a cgroup.
        if process in _read(self._processes).split("\n"):
            return opened
        os.close(opened)
        return -1


class _Counter:
    """One line of a file of the kernel's, held open: to open it anew after each call takes longer than to read it."""

    def __init__(self, path: Path, line: str) -> None:
        self._line = line
        self._count = 0
        self._text = b""
        try:
            self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            self._file = -1

    def has_grown(self) -> bool:
        """Whether it is more than when it was last asked; false where it cannot be read."""
        try:
            text = os.pread(self._file, _MOST_BYTES, 0)  # from the start, the kernel writes such a file anew
        except OSError:
            return False
        if text == self._text:
            return False
        before, self._count, self._text = self._count, _value(text, self._line), text
        return self._count > before

    def close(self) -> None:
        """Let go of the file."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def _full(state: os.statvfs_result, size_limit: str, inode_limit: str | None) -> Iterator[str]:
    if state.f_blocks and not state.f_bavail:
        yield size_limit
    if inode_limit and state.f_files and not state.f_favail:
        yield inode_limit


def _value(text: bytes, line: str) -> int:
    for entry in text.decode("ascii", "replace").splitlines():
        name, _, value = entry.partition(" ")
        if name == line and value.isdigit():
            return int(value)
    return 0


def _first(processes: str) -> str:
    """The number of one that is listed there; empty if none is."""
    process = _read(processes).split("\n", 1)[0]
    return process if process.isdecimal() and process != "0" else ""


def _read(path: str) -> str:
    """A small file of the kernel's; empty if there is none."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        return os.read(descriptor, _MOST_BYTES).decode("ascii", "replace")
    except OSError:
        return ""
    finally:
        os.close(descriptor)
