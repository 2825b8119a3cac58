"""What `doctor` wants to know of the engine. Only what makes leases fail is not ok; the rest is said and left there."""

from __future__ import annotations

import platform
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from muxi_sandbox.contract import BackendHealth, Check
from muxi_sandbox.docker.versions import known_holes
from muxi_sandbox.errors import SandboxError

if TYPE_CHECKING:
    from muxi_sandbox.docker.engine import Engine, Json
    from muxi_sandbox.docker.settings import EngineSettings

__all__ = ["examine", "findings"]

OLDEST_API = (1, 41)
GIB = 2**30
LITTLE_DISK_GIB = 2


async def examine(engine: Engine, settings: EngineSettings) -> BackendHealth:
    """Ask the engine and judge its answers. Never raises."""
    try:
        version, info = await engine.version(), await engine.info()
    except SandboxError as error:
        check = Check("engine", ok=False, detail=str(error), cure="Start the engine: `make up` does.")
        return BackendHealth(ok=False, summary="no container engine answers", checks=(check,))
    checks = (*findings(version, info, settings), disk(info))
    bad = [check.name for check in checks if not check.ok]
    summary = f"Docker {version.get('Version')}" + (f", not usable: {', '.join(bad)}" if bad else "")
    return BackendHealth(ok=not bad, summary=summary, checks=checks, runtimes=tuple(sorted(info.get("Runtimes") or ())))


def findings(version: Json, info: Json, settings: EngineSettings) -> tuple[Check, ...]:
    """What the engine's `version` and `info` tell; pure."""
    return (
        Check("engine", ok=True, detail=f"Docker {version.get('Version')} at {settings.socket}"),
        _api(version),
        _runc(version, info),
        Check(
            "archives",
            ok=True,
            detail="CVE-2026-41567 (compressed archives sent to the engine) is not in play: only plain tar is sent",
        ),
        _runtimes(info, settings),
        _seccomp(info),
        *_limits(info),
        Check("storage", ok=True, detail=f"{info.get('Driver')} at {info.get('DockerRootDir')}"),
    )


def _api(version: Json) -> Check:
    text = str(version.get("ApiVersion", "0.0"))
    ok = tuple(int(part) for part in text.split(".")) >= OLDEST_API
    return Check("api", ok, f"API {text}", "" if ok else "Install Docker 20.10 or newer.")


def _runc(version: Json, info: Json) -> Check:
    components = {part.get("Name"): part for part in version.get("Components") or ()}
    reported = str(components.get("runc", {}).get("Version", ""))
    build = str((info.get("RuncCommit") or {}).get("ID", ""))
    holes = known_holes(reported)
    if holes is None:
        return Check("runc", ok=True, detail=f"its version is not known (reported as {reported!r})")
    if not holes:
        return Check("runc", ok=True, detail=f"{reported}, no known hole")
    return Check(
        "runc",
        ok=True,
        detail=f"warning: reported as {reported} (build {build or 'unknown'}), older than the mending of "
        f"{'; '.join(holes)}; the distribution may have backported it",
        cure="Look the numbers up in your distribution's security tracker, or install runc 1.2.8, 1.3.3 or newer.",
    )


def _runtimes(info: Json, settings: EngineSettings) -> Check:
    runtimes = sorted(info.get("Runtimes") or ())
    default = info.get("DefaultRuntime")
    used = settings.runtime or default
    ok = used in runtimes
    cure = "" if ok else f"Install {used} and tell the engine, or change `engine.runtime`."
    return Check("runtimes", ok, f"uses {used}; the engine has {', '.join(runtimes)}", cure)


def _seccomp(info: Json) -> Check:
    ok = any("seccomp" in option for option in info.get("SecurityOptions") or ())
    cure = "" if ok else "Use a kernel with CONFIG_SECCOMP_FILTER and an engine built with seccomp."
    return Check("seccomp", ok, "supported" if ok else "the engine does not support it", cure)


def _limits(info: Json) -> tuple[Check, ...]:
    needed = {"memory": "MemoryLimit", "swap": "SwapLimit", "processes": "PidsLimit", "processors": "CpuCfsQuota"}
    cgroup = f"cgroup v{info.get('CgroupVersion', '1')}"
    cure = "Boot with `cgroup_enable=memory swapaccount=1`, or use cgroup v2."
    return tuple(
        Check(f"limit: {name}", ok, f"{cgroup} {'can' if ok else 'cannot'} limit {name}", "" if ok else cure)
        for name, key in needed.items()
        for ok in (bool(info.get(key)),)
    )


def disk(info: Json) -> Check:
    """Space left where the engine keeps images, if that is on this machine."""
    root = Path(str(info.get("DockerRootDir", "")))
    if info.get("Name") != platform.node() or not root.is_dir():
        return Check("disk", ok=True, detail=f"{root} is not seen from here")
    free = shutil.disk_usage(root).free / GIB
    little = free < LITTLE_DISK_GIB
    return Check(
        "disk",
        ok=True,
        detail=f"{'warning: ' if little else ''}{free:.1f} GiB free at {root}",
        cure="Free some with `docker image prune`." if little else "",
    )
