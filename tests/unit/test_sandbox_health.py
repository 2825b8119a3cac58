from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from muxi_sandbox.docker.backend import DockerBackend
from muxi_sandbox.docker.health import disk, findings
from muxi_sandbox.docker.settings import EngineSettings
from muxi_sandbox.docker.versions import known_holes

OLD, RACES = "CVE-2024-21626", "CVE-2025-31133, CVE-2025-52565 and CVE-2025-52881"


@pytest.mark.parametrize(
    ("version", "holes"),
    [
        ("1.1.5+ds1", [OLD, RACES]),
        ("1.1.11", [OLD, RACES]),
        ("1.1.12", [RACES]),
        ("1.1.15", [RACES]),
        ("1.2.7", [RACES]),
        ("1.2.8", []),
        ("v1.3.2", [RACES]),
        ("1.3.3", []),
        ("1.4.0-rc.2", [RACES]),
        ("1.4.0-rc.3", []),
        ("1.4.0", []),
        ("2.0.0", []),
        ("unknown", None),
        ("", None),
    ],
)
def test_known_holes_of_runc(version: str, holes: list[str] | None) -> None:
    assert known_holes(version) == holes


VERSION = {
    "Version": "20.10.24",
    "ApiVersion": "1.41",
    "Components": [{"Name": "Engine"}, {"Name": "runc", "Version": "1.1.5"}],
}
INFO = {
    "Runtimes": {"runc": {}},
    "DefaultRuntime": "runc",
    "SecurityOptions": ["name=seccomp,profile=default"],
    "MemoryLimit": True,
    "SwapLimit": True,
    "PidsLimit": True,
    "CpuCfsQuota": True,
    "RuncCommit": {"ID": "1.1.5-1+deb12u1"},
}


def bad(version: dict[str, Any], info: dict[str, Any], settings: EngineSettings | None = None) -> list[str]:
    return [check.name for check in findings(version, info, settings or EngineSettings()) if not check.ok]


def test_a_good_engine_has_no_findings() -> None:
    assert bad(VERSION, INFO) == []


def test_an_old_runc_is_a_warning_that_names_the_build() -> None:
    (check,) = (check for check in findings(VERSION, INFO, EngineSettings()) if check.name == "runc")
    assert check.ok
    assert check.detail.startswith("warning: reported as 1.1.5 (build 1.1.5-1+deb12u1)")
    assert "backported" in check.detail


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"SecurityOptions": ["name=apparmor"]}, "seccomp"),
        ({"MemoryLimit": False}, "limit: memory"),
        ({"SwapLimit": False}, "limit: swap"),
        ({"PidsLimit": False}, "limit: processes"),
        ({"CpuCfsQuota": False}, "limit: processors"),
    ],
)
def test_a_defence_that_the_engine_has_not_makes_it_unusable(change: dict[str, Any], name: str) -> None:
    assert bad(VERSION, {**INFO, **change}) == [name]


def test_an_old_api_makes_it_unusable() -> None:
    assert bad({**VERSION, "ApiVersion": "1.40"}, INFO) == ["api"]


def test_a_runtime_that_is_not_there_makes_it_unusable() -> None:
    assert bad(VERSION, INFO, EngineSettings(runtime="runsc")) == ["runtimes"]


def test_the_disk_of_another_machine_is_not_looked_at() -> None:
    check = disk({"Name": "elsewhere", "DockerRootDir": "/"})
    assert check.ok
    assert "not seen" in check.detail


async def test_no_engine_is_an_answer_and_no_exception(tmp_path: Path) -> None:
    health = await DockerBackend(EngineSettings(socket=tmp_path / "none.sock"), "unit").health()
    assert not health.ok
    assert str(tmp_path / "none.sock") in health.checks[0].detail
    assert health.checks[0].cure
