"""The kernel's counters of one container, as files: those of a real one are in the security tests."""

from __future__ import annotations

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
