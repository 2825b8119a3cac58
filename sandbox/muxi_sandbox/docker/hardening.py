"""From a spec to what the engine is asked for. Pure: the whole list of a sandbox's defences is this one file.

`create_options` writes them down, `missing_defences` reads from the engine's answer what it did not take over.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from muxi_sandbox.contract import Limits, Spec

__all__ = [
    "NOBODY",
    "RUN",
    "WORKSPACE",
    "alarming",
    "create_options",
    "is_browser",
    "labels_of",
    "missing_defences",
    "policies_mount",
    "run_mount",
    "slot_mount",
    "volume_mount",
    "workspace_flags",
    "workspace_options",
]

MIB = 2**20
NOBODY = 65534
WORKSPACE = "/workspace"
RUN = "/run/muxi"
CHROMIUM = "/etc/chromium/policies/managed"
TMP = "/tmp"  # noqa: S108  # nosec B108  # a path inside the sandbox, a tmpfs of its own

# What every supported engine masks by itself. Asked for by asking for nothing; looked for in its answer.
MASKED = frozenset({"/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware"})
READ_ONLY = frozenset({"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"})

# Warnings of an engine that say nothing of a sandbox without a network.
HARMLESS_WARNINGS = ("IPv4 forwarding is disabled",)

INSTALLATION_LABEL = "muxi.installation"
TASK_LABEL = "muxi.task"


def labels_of(installation: str, task: str, server: str = "") -> dict[str, str]:
    """The labels by which what is left over is found again; `muxi.pid` is for people."""
    labels = {INSTALLATION_LABEL: installation, TASK_LABEL: task, "muxi.pid": str(os.getpid())}
    return {**labels, "muxi.server": server} if server else labels


def create_options(
    spec: Spec,
    *,
    seccomp: str,
    labels: Mapping[str, str],
    mounts: Sequence[Mapping[str, Any]] = (),
    runtime: str | None = None,
) -> dict[str, Any]:
    """The body of the engine's "create a container", API 1.41 or newer.

    Args:
        spec: what is to run.
        seccomp: the text of the profile, JSON.
        labels: see `labels_of`.
        mounts: in the engine's form: of the functions below, or of the backend's own.
        runtime: the engine runtime where the spec names none.
    """
    options: dict[str, Any] = {
        "Image": spec.image,
        "User": f"{NOBODY}:{NOBODY}",
        "Hostname": "sandbox",
        # Not even the engine's own idea of "no network", which costs a helper process for each start: the container
        # gets a network namespace with nothing but loopback.
        "NetworkDisabled": True,
        "Env": [f"{key}={value}" for key, value in {"HOME": TMP, **spec.environment}.items()],
        # The image's own health check would start processes that nobody asked for.
        "Healthcheck": {"Test": ["NONE"]},
        "Labels": dict(labels),
        "Tty": False,
        "OpenStdin": True,
        # A kept sandbox is attached to again by the next runtime. Ending what a dead host left is the reaper's work:
        # a hostile program would not have ended for a closed stream.
        "StdinOnce": False,
        "AttachStdin": True,
        "AttachStdout": True,
        "AttachStderr": True,
        "HostConfig": _host_config(spec, seccomp, mounts, spec.runtime or runtime),
    }
    if spec.command:
        options["Entrypoint"] = list(spec.command)
    if any(mount["Target"] == WORKSPACE for mount in mounts):
        options["WorkingDir"] = WORKSPACE
    return options


def _host_config(spec: Spec, seccomp: str, mounts: Sequence[Mapping[str, Any]], runtime: str | None) -> dict[str, Any]:
    config: dict[str, Any] = {
        "Privileged": False,
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges:true", f"seccomp={seccomp}"],
        "ReadonlyRootfs": True,
        "Init": spec.init,
        "NetworkMode": "none",
        "IpcMode": "private",
        "CgroupnsMode": "private",
        "LogConfig": {"Type": "none", "Config": {}},
        "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0},
        "AutoRemove": False,
        "PublishAllPorts": False,
        "Mounts": [dict(mount) for mount in mounts],
        **_resources(spec.limits),
    }
    return {**config, "Runtime": runtime} if runtime else config


def _resources(limits: Limits) -> dict[str, Any]:
    memory = limits.memory_mib * MIB
    inodes = max(1024, limits.tmp_mib * 256)  # one for each page of 4 KiB: an empty file costs memory too
    return {
        "Memory": memory,
        "MemorySwap": memory,  # the sum of both: no swap
        "OomKillDisable": False,
        "OomScoreAdj": 500,  # if the whole machine runs out, sandboxes go before the runtime and the engine
        "NanoCpus": round(limits.cpus * 1e9),
        "PidsLimit": limits.pids,
        # No nproc: the kernel counts it over every container of one user id.
        "Ulimits": [
            {"Name": "nofile", "Soft": limits.open_files, "Hard": limits.open_files},
            {"Name": "core", "Soft": 0, "Hard": 0},
        ],
        "ShmSize": limits.shm_mib * MIB,
        "Tmpfs": {TMP: f"rw,exec,nosuid,nodev,mode=1777,size={limits.tmp_mib}m,nr_inodes={inodes}"},
    }


def volume_mount(volume: str, *, read_only: bool) -> dict[str, Any]:
    """The task's workspace as a volume of the engine's."""
    mount = {"Type": "volume", "Source": volume, "Target": WORKSPACE, "VolumeOptions": {"NoCopy": True}}
    # The engine's answer leaves false values out.
    return {**mount, "ReadOnly": True} if read_only else mount


def slot_mount(folder: Path, *, read_only: bool) -> dict[str, Any]:
    """The place where the task's workspace is, or will appear: a slave of the host's, which only takes over.

    What appears later has its own flags: an empty place is read-only, a workspace in it need not be.
    """
    mount = {"Type": "bind", "Source": str(folder), "Target": WORKSPACE, "BindOptions": {"Propagation": "rslave"}}
    return {**mount, "ReadOnly": True} if read_only else mount


def run_mount(folder: Path) -> dict[str, Any]:
    """The folder of the egress socket. Connecting to a socket writes nothing, so read-only is enough."""
    options = {"Propagation": "rprivate"}
    return {"Type": "bind", "Source": str(folder), "Target": RUN, "ReadOnly": True, "BindOptions": options}


def is_browser(spec: Spec) -> bool:
    """Whether it may run a browser in it."""
    return spec.seccomp == "browser"


def policies_mount(folder: Path) -> dict[str, Any]:
    """What a browser trusts, where Debian's Chromium looks for it."""
    options = {"Propagation": "rprivate"}
    return {"Type": "bind", "Source": str(folder), "Target": CHROMIUM, "ReadOnly": True, "BindOptions": options}


def workspace_options(limits: Limits) -> dict[str, str]:
    """Options of the `local` volume driver for a task's workspace: memory, counted in the sandbox that fills it."""
    return {"type": "tmpfs", "device": "tmpfs", "o": f"nosuid,nodev,{workspace_flags(limits)}"}


def workspace_flags(limits: Limits) -> str:
    """Options of tmpfs(5) for a task's workspace; `nosuid` and `nodev` are flags of the mount."""
    return f"size={limits.workspace_mib}m,nr_inodes={limits.workspace_inodes},mode=0700,uid={NOBODY},gid={NOBODY}"


def alarming(warnings: Sequence[str]) -> list[str]:
    """The engine's warnings at creation that mean a defence is not there."""
    return [warning for warning in warnings if not any(known in warning for known in HARMLESS_WARNINGS)]


def missing_defences(asked: Mapping[str, Any], inspected: Mapping[str, Any]) -> list[str]:
    """Names of options that the engine's inspect shows otherwise than asked; empty if all is well."""
    config, host = inspected["Config"], inspected["HostConfig"]
    names = ("User", "NetworkDisabled", "OpenStdin", "StdinOnce", "Tty")
    missing = [name for name in names if config.get(name) != asked[name]]
    # The engine fills in the times of an image's own check, which mean nothing without a test.
    if (config.get("Healthcheck") or {}).get("Test") != asked["Healthcheck"]["Test"]:
        missing.append("Healthcheck")
    missing += [name for name, value in asked["HostConfig"].items() if not _is_applied(value, host.get(name))]
    missing += [name for name in ("Binds", "CapAdd", "Devices", "DeviceRequests", "GroupAdd") if host.get(name)]
    missing += [name for name in ("PidMode", "UTSMode", "UsernsMode") if host.get(name)]
    if not set(host.get("MaskedPaths") or ()) >= MASKED:
        missing.append("MaskedPaths")
    if not set(host.get("ReadonlyPaths") or ()) >= READ_ONLY:
        missing.append("ReadonlyPaths")
    # A volume that the image declares would be a place on the host's disk without a limit.
    expected = {mount["Target"] for mount in asked["HostConfig"]["Mounts"]}
    extra = {mount["Destination"] for mount in inspected["Mounts"]} - expected
    missing += [f"the image's own volume {path}" for path in sorted(extra)]
    return missing + _missing_mounts(asked["HostConfig"]["Mounts"], inspected["Mounts"])


def _missing_mounts(asked: Sequence[Mapping[str, Any]], inspected: Sequence[Mapping[str, Any]]) -> list[str]:
    """Targets of our mounts that the engine would make otherwise."""
    made = {mount["Destination"]: mount for mount in inspected}
    missing = []
    for mount in asked:
        found = made.get(mount["Target"], {})
        same = found.get("RW") is not mount.get("ReadOnly", False)
        if mount["Type"] == "bind":
            same = same and found.get("Source") == mount["Source"]
            same = same and found.get("Propagation") == mount["BindOptions"]["Propagation"]
        if not same:
            missing.append(f"the mount {mount['Target']}")
    return missing


def _is_applied(asked: Any, applied: Any) -> bool:  # noqa: ANN401  # values of the engine's JSON
    if isinstance(asked, bool):
        return bool(applied) is asked
    return bool(applied == asked or (not asked and not applied))
