from __future__ import annotations

import json

import pytest

from muxi_sandbox.docker.seccomp import seccomp_profile

PROFILE = json.loads(seccomp_profile("default"))
ALLOWED = {name for rule in PROFILE["syscalls"] if rule["action"] == "SCMP_ACT_ALLOW" for name in rule["names"]}
DANGEROUS = [
    "acct",
    "add_key",
    "bpf",
    "clock_adjtime",
    "clock_settime",
    "delete_module",
    "finit_module",
    "fsconfig",
    "fsmount",
    "fsopen",
    "fspick",
    "init_module",
    "io_uring_enter",
    "io_uring_register",
    "io_uring_setup",
    "ioperm",
    "iopl",
    "kcmp",
    "kexec_file_load",
    "kexec_load",
    "keyctl",
    "lookup_dcookie",
    "memfd_secret",
    "migrate_pages",
    "mount",
    "mount_setattr",
    "move_mount",
    "move_pages",
    "name_to_handle_at",
    "open_by_handle_at",
    "open_tree",
    "perf_event_open",
    "pidfd_getfd",
    "pivot_root",
    "process_madvise",
    "process_vm_readv",
    "process_vm_writev",
    "ptrace",
    "quotactl",
    "quotactl_fd",
    "reboot",
    "request_key",
    "setdomainname",
    "sethostname",
    "setns",
    "settimeofday",
    "swapoff",
    "swapon",
    "syslog",
    "umount",
    "umount2",
    "unshare",
    "userfaultfd",
    "vhangup",
    "vmsplice",
    "clone3",
    "chroot",
    "fanotify_init",
]


def rules(name: str) -> list[dict]:
    return [rule for rule in PROFILE["syscalls"] if name in rule["names"] and rule["action"] == "SCMP_ACT_ALLOW"]


def test_what_is_not_named_is_refused() -> None:
    assert PROFILE["defaultAction"] == "SCMP_ACT_ERRNO"


@pytest.mark.promise("no-kernel-surface")
@pytest.mark.parametrize("name", DANGEROUS)
def test_dangerous_call_is_not_allowed(name: str) -> None:
    assert name not in ALLOWED


def test_sockets_are_of_four_families() -> None:
    families = [{arg["index"]: arg["value"] for arg in rule["args"]} for rule in rules("socket")]
    assert families == [{0: 1}, {0: 2}, {0: 10}, {0: 16, 2: 0}]


def test_clone_makes_no_namespace() -> None:
    (rule,) = rules("clone")
    (arg,) = rule["args"]
    new_namespaces = 0x00020000 | 0x02000000 | 0x04000000 | 0x08000000 | 0x10000000 | 0x20000000 | 0x40000000
    assert (arg["op"], arg["index"], arg["value"], arg["valueTwo"]) == ("SCMP_CMP_MASKED_EQ", 0, new_namespaces, 0)


def test_clone3_looks_as_if_the_kernel_had_none() -> None:
    (rule,) = (rule for rule in PROFILE["syscalls"] if "clone3" in rule["names"])
    assert (rule["action"], rule["errnoRet"]) == ("SCMP_ACT_ERRNO", 38)


def test_a_call_with_conditions_is_nowhere_allowed_without() -> None:
    for name in ("socket", "socketpair", "clone", "personality"):
        assert all(rule.get("args") for rule in rules(name))


def test_no_second_instruction_set_is_let_in() -> None:
    assert all(arch["subArchitectures"] == [] for arch in PROFILE["archMap"])
