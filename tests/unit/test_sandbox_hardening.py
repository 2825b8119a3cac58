"""Each defence is looked at on its own: a change to one line of `hardening` fails here."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from muxi_sandbox.contract import Limits, Spec, WorkspaceAccess
from muxi_sandbox.docker.hardening import (
    alarming,
    create_options,
    labels_of,
    missing_defences,
    run_mount,
    slot_mount,
    volume_mount,
    workspace_options,
)
from muxi_sandbox.docker.seccomp import seccomp_profile
from muxi_sandbox.errors import SpecRefusedError

MIB = 2**20
LIMITS = Limits(cpus=0.5, memory_mib=100, pids=40, open_files=200, tmp_mib=8, shm_mib=4, workspace_mib=32)


def options(*mounts: dict[str, Any], **changes: Any) -> dict[str, Any]:
    spec = Spec(task="t", server="s", image="i", limits=LIMITS, **changes)
    return create_options(spec, seccomp="{}", labels=labels_of("home", "t", "s"), mounts=mounts)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("User", "65534:65534"),
        ("NetworkDisabled", True),
        ("Healthcheck", {"Test": ["NONE"]}),
        ("Tty", False),
        ("OpenStdin", True),
        ("StdinOnce", False),
        ("Hostname", "sandbox"),
    ],
)
def test_container_option(name: str, value: object) -> None:
    assert options()[name] == value


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Privileged", False),
        ("CapDrop", ["ALL"]),
        ("SecurityOpt", ["no-new-privileges:true", "seccomp={}"]),
        ("ReadonlyRootfs", True),
        ("Init", True),
        ("NetworkMode", "none"),
        ("IpcMode", "private"),
        ("CgroupnsMode", "private"),
        ("LogConfig", {"Type": "none", "Config": {}}),
        ("RestartPolicy", {"Name": "no", "MaximumRetryCount": 0}),
        ("AutoRemove", False),
        ("PublishAllPorts", False),
        ("Memory", 100 * MIB),
        ("MemorySwap", 100 * MIB),
        ("OomKillDisable", False),
        ("OomScoreAdj", 500),
        ("NanoCpus", 500_000_000),
        ("PidsLimit", 40),
        ("ShmSize", 4 * MIB),
        ("Tmpfs", {"/tmp": "rw,exec,nosuid,nodev,mode=1777,size=8m,nr_inodes=2048"}),
        (
            "Ulimits",
            [{"Name": "nofile", "Soft": 200, "Hard": 200}, {"Name": "core", "Soft": 0, "Hard": 0}],
        ),
        ("Mounts", []),
    ],
)
def test_host_option(name: str, value: object) -> None:
    assert options()["HostConfig"][name] == value


def test_nothing_else_reaches_the_engine() -> None:
    assert set(options()) == {
        *("Image", "User", "Hostname", "NetworkDisabled", "Env", "Healthcheck", "Labels", "Tty", "OpenStdin"),
        *("StdinOnce", "AttachStdin", "AttachStdout", "AttachStderr", "HostConfig"),
    }
    assert set(options()["HostConfig"]) == {
        *("Privileged", "CapDrop", "SecurityOpt", "ReadonlyRootfs", "Init", "NetworkMode", "IpcMode", "CgroupnsMode"),
        *("LogConfig", "RestartPolicy", "AutoRemove", "PublishAllPorts", "Mounts", "Memory", "MemorySwap"),
        *("OomKillDisable", "OomScoreAdj", "NanoCpus", "PidsLimit", "Ulimits", "ShmSize", "Tmpfs"),
    }


def test_a_command_replaces_the_image_s_own() -> None:
    assert options(command=("prog", "--flag"))["Entrypoint"] == ["prog", "--flag"]
    assert "Entrypoint" not in options()
    assert "Cmd" not in options(command=("prog",))


def test_a_program_that_is_its_own_init_gets_no_other() -> None:
    assert options(init=False)["HostConfig"]["Init"] is False


def test_a_volume_is_mounted_as_the_profile_says() -> None:
    mount = {"Type": "volume", "Source": "vol", "Target": "/workspace", "VolumeOptions": {"NoCopy": True}}
    assert volume_mount("vol", read_only=False) == mount
    assert volume_mount("vol", read_only=True) == {**mount, "ReadOnly": True}


def test_a_slot_takes_over_what_the_host_mounts_and_gives_nothing_back() -> None:
    mount = slot_mount(Path("/slots/a/workspace"), read_only=True)
    assert mount["ReadOnly"] is True
    assert mount["BindOptions"] == {"Propagation": "rslave"}


def test_the_folder_of_the_socket_is_read_only() -> None:
    assert run_mount(Path("/slots/a/run"))["ReadOnly"] is True


@pytest.mark.parametrize("mounts", [[], [run_mount(Path("/slots/a/run"))]])
def test_only_a_sandbox_with_a_workspace_starts_in_it(mounts: list[dict[str, Any]]) -> None:
    assert "WorkingDir" not in options(*mounts)
    assert options(*mounts, slot_mount(Path("/slots/a"), read_only=True))["WorkingDir"] == "/workspace"


def test_the_workspace_is_limited_memory_of_nobody() -> None:
    assert workspace_options(LIMITS) == {
        "type": "tmpfs",
        "device": "tmpfs",
        "o": "nosuid,nodev,size=32m,nr_inodes=20000,mode=0700,uid=65534,gid=65534",
    }


def test_labels_say_whose_it_is() -> None:
    labels = options()["Labels"]
    assert {key: labels[key] for key in ("muxi.installation", "muxi.task", "muxi.server")} == {
        "muxi.installation": "home",
        "muxi.task": "t",
        "muxi.server": "s",
    }
    assert labels["muxi.pid"].isdigit()


def test_the_spec_s_runtime_goes_before_the_setting() -> None:
    spec = Spec(task="t", server="s", image="i", runtime="own")
    for wanted, given in (("own", spec), ("set", spec.model_copy(update={"runtime": None}))):
        made = create_options(given, seccomp="{}", labels={}, runtime="set")
        assert made["HostConfig"]["Runtime"] == wanted
    assert "Runtime" not in options()["HostConfig"]


def inspected(asked: dict[str, Any]) -> dict[str, Any]:
    masked = ["/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware", "/proc/more"]
    read_only = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]
    host = {**copy.deepcopy(asked["HostConfig"]), "MaskedPaths": masked, "ReadonlyPaths": read_only}
    mounts = [
        {
            "Destination": mount["Target"],
            "Source": mount["Source"],
            "RW": not mount.get("ReadOnly", False),
            "Propagation": mount.get("BindOptions", {}).get("Propagation", ""),
        }
        for mount in asked["HostConfig"]["Mounts"]
    ]
    return {"Config": copy.deepcopy(asked), "HostConfig": host, "Mounts": mounts}


def test_an_engine_that_did_as_asked_misses_nothing() -> None:
    asked = options(slot_mount(Path("/slots/a/w"), read_only=True), run_mount(Path("/slots/a/run")))
    assert missing_defences(asked, inspected(asked)) == []
    asked = options(volume_mount("vol", read_only=False), workspace=WorkspaceAccess.WRITE)
    assert missing_defences(asked, inspected(asked)) == []


@pytest.mark.promise("fail-closed")
@pytest.mark.parametrize(("name", "value"), [("RW", True), ("Source", "/etc"), ("Propagation", "rshared")])
def test_a_mount_that_was_made_otherwise_is_noticed(name: str, value: object) -> None:
    asked = options(slot_mount(Path("/slots/a/w"), read_only=True))
    answer = inspected(asked)
    answer["Mounts"][0][name] = value
    assert missing_defences(asked, answer) == ["the mount /workspace"]


@pytest.mark.promise("fail-closed")
@pytest.mark.parametrize("name", sorted(set(options()["HostConfig"]) - {"Mounts"}))
def test_a_host_option_that_was_not_taken_over_is_noticed(name: str) -> None:
    asked = options()
    answer = inspected(asked)
    value = answer["HostConfig"][name]
    answer["HostConfig"][name] = not value if isinstance(value, bool) else "something else"
    assert missing_defences(asked, answer) == [name]


@pytest.mark.promise("fail-closed")
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Binds", ["/:/host"]),
        ("CapAdd", ["SYS_ADMIN"]),
        ("Devices", [{"PathOnHost": "/dev/kvm"}]),
        ("DeviceRequests", [{"Count": -1}]),
        ("GroupAdd", ["0"]),
        ("PidMode", "host"),
        ("UTSMode", "host"),
        ("UsernsMode", "host"),
        ("MaskedPaths", []),
        ("ReadonlyPaths", None),
    ],
)
def test_something_added_or_weakened_is_noticed(name: str, value: object) -> None:
    asked = options()
    answer = inspected(asked)
    answer["HostConfig"][name] = value
    assert missing_defences(asked, answer) == [name]


@pytest.mark.promise("fail-closed")
def test_a_volume_of_the_image_is_noticed() -> None:
    asked = options()
    answer = inspected(asked)
    answer["Mounts"].append({"Destination": "/data"})
    assert missing_defences(asked, answer) == ["the image's own volume /data"]


def test_only_the_warning_about_forwarding_is_harmless() -> None:
    limit = "Your kernel does not support pids limit capabilities. PIDs limit discarded."
    assert alarming(["IPv4 forwarding is disabled. Networking will not work.", limit]) == [limit]


def test_an_unknown_seccomp_profile_is_refused_by_name() -> None:
    with pytest.raises(SpecRefusedError, match="'nope'"):
        seccomp_profile("nope")
