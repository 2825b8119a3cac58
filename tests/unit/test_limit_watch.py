"""The kernel's counters of one container, as files: those of a real one are in the security tests."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from muxi_sandbox.contract import Limits
from muxi_sandbox.docker import limit_watch
from muxi_sandbox.docker.limit_watch import LimitWatch

ID = "c0ffee"


@pytest.fixture
def cgroup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(limit_watch, "CGROUPS", tmp_path)
    folder = tmp_path / "system.slice" / f"docker-{ID}.scope"
    folder.mkdir(parents=True)
    (folder / "memory.events").write_text("low 0\noom 0\noom_kill 0\n")
    (folder / "pids.events").write_text("max 0\n")
    return folder


def names(watch: LimitWatch) -> list[str]:
    return [hit.limit for hit in watch.hits()]


def test_a_counter_that_grew_is_told_once(cgroup: Path) -> None:
    watch = LimitWatch(ID, Limits(), lambda: None)
    assert names(watch) == []
    (cgroup / "memory.events").write_text("low 0\noom 4\noom_kill 2\n")
    assert (names(watch), names(watch)) == (["memory_mib"], [])
    (cgroup / "memory.events").write_text("low 9\noom 9\noom_kill 2\n")
    (cgroup / "pids.events").write_text("max 12\n")
    assert (names(watch), names(watch)) == (["pids"], [])
    watch.close()


def test_a_counter_that_is_not_zero_at_first_is_told(cgroup: Path) -> None:
    (cgroup / "pids.events").write_text("max 3\n")
    watch = LimitWatch(ID, Limits(), lambda: None)
    assert names(watch) == ["pids"]
    watch.close()


def test_what_cannot_be_read_is_not_known(cgroup: Path) -> None:
    for file in cgroup.iterdir():
        file.unlink()
    assert names(LimitWatch(ID, Limits(), lambda: None)) == []


def test_nothing_is_held_open_once_it_is_closed(cgroup: Path) -> None:
    del cgroup

    def held() -> int:
        return sum(
            "docker-" in str(entry.readlink()) for entry in Path("/proc/self/fd").iterdir() if entry.is_symlink()
        )

    watch = LimitWatch(ID, Limits(), lambda: None)
    assert names(watch) == []
    assert held() == 2
    watch.close()
    assert (names(watch), held()) == ([], 0)


@pytest.fixture
def processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """As /proc; of process 7 there is a /tmp."""
    folder = tmp_path / "proc"
    (folder / "7" / "root" / "tmp").mkdir(parents=True)
    monkeypatch.setattr(limit_watch, "PROCESSES", folder)
    return folder


def opened(folder: Path) -> list[str]:
    """What is held open below it."""
    links = [entry.readlink() for entry in Path("/proc/self/fd").iterdir() if entry.is_symlink()]
    return [str(link.relative_to(folder)) for link in links if link.is_relative_to(folder)]


def test_the_tmp_of_a_process_whose_number_is_used_again_is_not_looked_at(cgroup: Path, processes: Path) -> None:
    (cgroup / "cgroup.procs").write_text("7\n")
    watch = LimitWatch(ID, Limits(), lambda: None)
    assert names(watch) == []
    (processes / "7").rename(processes / "before")
    (processes / "7" / "root" / "tmp").mkdir(parents=True)
    assert names(watch) == []
    assert opened(processes) == ["before/root/tmp"]
    watch.close()
    assert (names(watch), opened(processes)) == ([], [])


def test_a_process_that_left_while_its_tmp_was_opened_is_not_believed(cgroup: Path, processes: Path) -> None:
    """Its number may have been another's by then."""
    listed = cgroup / "cgroup.procs"
    os.mkfifo(listed)

    writer = os.open(listed, os.O_RDWR | os.O_NONBLOCK)
    fcntl.fcntl(writer, fcntl.F_SETFL, os.O_NONBLOCK | os.O_DIRECT)  # each write is one read's: pipe(2), packet mode
    os.write(writer, b"7\n")
    os.write(writer, b"8\n")
    watch = LimitWatch(ID, Limits(), lambda: None)
    assert (names(watch), opened(processes)) == ([], [])
    for _ in range(2):
        os.write(writer, b"7\n")
    assert (names(watch), opened(processes)) == ([], ["7/root/tmp"])
    watch.close()
    os.close(writer)


def test_a_tmp_that_is_a_link_is_not_followed_on_the_host(cgroup: Path, processes: Path) -> None:
    (cgroup / "cgroup.procs").write_text("7\n")
    tmp = processes / "7" / "root" / "tmp"
    tmp.rmdir()
    (processes / "elsewhere").mkdir()
    tmp.symlink_to(processes / "elsewhere")
    watch = LimitWatch(ID, Limits(), lambda: None)
    assert (names(watch), opened(processes)) == ([], [])
    watch.close()
