"""What an idle sandbox weighs: everything that exists because of it, in MiB."""

from __future__ import annotations

import re
from pathlib import Path

from anyio import to_thread
from docker import APIClient
from tests.benchmarks.timings import spec_of

from muxi_runtime.gateway.eras import Eras
from muxi_runtime.gateway.handshake import open_upstream
from muxi_sandbox.contract import Backend

__all__ = ["container_mib", "idle_sandbox_mib"]

MIB = 2**20
SERVERS = ("code", "files", "shell")


def container_mib(client: APIClient, container: str) -> float:
    """The container's cgroup without file pages that can be dropped, and the proportional share of its shim."""
    pid = client.inspect_container(container)["State"]["Pid"]
    shim = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return (_cgroup_bytes(pid) + _pss_bytes(shim)) / MIB


def _cgroup_bytes(pid: int) -> int:
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            folder = Path("/sys/fs/cgroup/memory") / path.lstrip("/")
            return int((folder / "memory.usage_in_bytes").read_text()) - _stat(folder, "total_inactive_file")
        if controllers == "" and (Path("/sys/fs/cgroup") / path.lstrip("/") / "memory.current").exists():
            folder = Path("/sys/fs/cgroup") / path.lstrip("/")
            return int((folder / "memory.current").read_text()) - _stat(folder, "inactive_file")
    raise RuntimeError(f"process {pid} is in no memory cgroup that can be read")


def _stat(folder: Path, name: str) -> int:
    found = re.search(rf"^{name} (\d+)$", (folder / "memory.stat").read_text(), re.MULTILINE)
    return int(found.group(1)) if found else 0


def _pss_bytes(pid: int) -> int:
    found = re.search(r"^Pss: +(\d+) kB$", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    return int(found.group(1)) * 1024 if found else 0


async def idle_sandbox_mib(client: APIClient, backend: Backend, image: str, server: str) -> float:
    """One ready sandbox of a built-in server that has answered the handshake and nothing else."""
    spec = spec_of(image, 9000 + SERVERS.index(server), server)
    async with open_upstream(backend, spec, eras=Eras(), handshake_seconds=30) as upstream:
        weight = await to_thread.run_sync(container_mib, client, upstream.sandbox.id)
    await backend.end_task(str(spec.task))
    return weight
