"""Attacks on the host and the kernel, tried from inside a sandbox."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import pytest
from attack import findings
from docker import APIClient

REFUSED = {"EPERM", "EACCES", "EROFS", "ENOENT", "ENOSYS"}

# Numbers of the calls' table: x86_64, aarch64.
CALLS = {
    "io_uring_setup": (425, 425),
    "bpf": (321, 280),
    "userfaultfd": (323, 282),
    "keyctl": (250, 219),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "perf_event_open": (298, 241),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "fsopen": (430, 430),
    "fsmount": (432, 432),
    "move_mount": (429, 429),
    "open_tree": (428, 428),
    "mount_setattr": (442, 442),
    "unshare": (272, 97),
    "setns": (308, 268),
    "clone3": (435, 435),
    "kexec_load": (246, 104),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "open_by_handle_at": (304, 265),
    "name_to_handle_at": (303, 264),
    "quotactl": (179, 60),
    "swapon": (167, 224),
    "reboot": (169, 142),
    "syslog": (103, 116),
    "acct": (163, 89),
    "settimeofday": (170, 170),
    "pidfd_getfd": (438, 438),
    "kcmp": (312, 272),
    "chroot": (161, 51),
}


@pytest.mark.promise("no-engine-socket")
async def test_no_socket_of_an_engine_is_inside(engine_socket: Path, python_image: str) -> None:
    script = """
        import stat
        sockets = []
        for top in ("/run", "/var/run", "/tmp", "/dev", "/etc", "/workspace", "/mnt", "/home", "/var/lib"):
            for folder, _, names in os.walk(top):
                for name in names:
                    path = os.path.join(folder, name)
                    try:
                        if stat.S_ISSOCK(os.lstat(path).st_mode):
                            sockets.append(path)
                    except OSError:
                        pass
        say([sockets, [os.path.exists(p) for p in ("/var/run/docker.sock", "/run/containerd/containerd.sock")]])
    """
    assert await findings(engine_socket, python_image, script, workspace="write") == [[], [False, False]]


@pytest.mark.promise("no-privileges")
async def test_every_set_of_capabilities_is_empty(engine_socket: Path, python_image: str) -> None:
    script = """
        status = dict(line.split(":\\t", 1) for line in read("/proc/self/status").splitlines())
        say({key: int(value, 16) for key, value in status.items() if key.startswith("Cap")}
            | {key: status[key].strip() for key in ("NoNewPrivs", "Seccomp")}
            | {"ids": os.getresuid() + os.getresgid()})
    """
    assert await findings(engine_socket, python_image, script) == {
        **dict.fromkeys(("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"), 0),
        "NoNewPrivs": "1",
        "Seccomp": "2",
        "ids": [65534] * 6,
    }


@pytest.mark.promise("no-privileges")
async def test_setuid_gives_nothing(engine_socket: Path, python_image: str) -> None:
    script = """
        import shutil, pwd
        found = {"become root": tried(os.setuid, 0), "own group 0": tried(os.setgid, 0)}
        for name in ("su", "mount", "passwd", "newgrp"):
            program = shutil.which(name)
            if program and os.stat(program).st_mode & 0o4000:
                run = subprocess.run([program, "--version"], capture_output=True)
                found["setuid " + name] = os.stat(program).st_uid == 0
        copy = "/workspace/id"
        shutil.copy(shutil.which("id"), copy)
        os.chmod(copy, 0o6755)
        found["copied"] = subprocess.run([copy, "-u"], capture_output=True, text=True).stdout.strip()
        # A real setuid-root program that says who it became.
        helper = subprocess.run(["su", "-c", "id -u", "root"], input="", capture_output=True, text=True)
        found["su"] = helper.stdout.strip()
        mounts = {line.split()[1]: line.split()[3].split(",") for line in read("/proc/mounts").splitlines()}
        found["flags"] = [f in mounts[p] for p in ("/tmp", "/workspace", "/dev/shm") for f in ("nosuid", "nodev")]
        say(found)
    """
    found = await findings(engine_socket, python_image, script, workspace="write")
    assert found["become root"] == found["own group 0"] == "EPERM"
    assert (found["copied"], found["su"]) == ("65534", "")
    assert found["flags"] == [True] * 6


@pytest.mark.promise("host-is-read-only")
async def test_nothing_of_the_kernel_s_settings_can_be_written(engine_socket: Path, python_image: str) -> None:
    paths = [
        *("/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe", "/proc/sys/vm/overcommit_memory"),
        *(
            "/proc/sysrq-trigger",
            "/sys/kernel/uevent_helper",
            "/sys/kernel/mm/ksm/run",
            "/proc/irq/default_smp_affinity",
        ),
        *("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/pids.max", "/sys/fs/cgroup/memory.max"),
        *("/sys/fs/cgroup/devices/devices.allow", "/etc/passwd", "/usr/bin/python3", "/new-file"),
    ]
    found = await findings(engine_socket, python_image, f"say({{p: tried(write, p, '0') for p in {paths!r}}})")
    assert {path: answer for path, answer in found.items() if answer not in REFUSED} == {}


@pytest.mark.promise("host-is-read-only")
async def test_masked_files_say_nothing(engine_socket: Path, python_image: str) -> None:
    script = """
        def content(path):
            try:
                if os.path.isdir(path):
                    return len(os.listdir(path))
                with open(path, "rb") as file:
                    return len(file.read(64))
            except OSError:
                return 0
        paths = ["/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/acpi", "/sys/firmware", "/proc/scsi"]
        say({path: content(path) for path in paths})
    """
    assert set((await findings(engine_socket, python_image, script)).values()) == {0}


@pytest.mark.promise("host-is-read-only")
async def test_the_release_agent_of_a_cgroup_is_out_of_reach(engine_socket: Path, python_image: str) -> None:
    script = """
        found = {}
        for folder, folders, names in os.walk("/sys/fs/cgroup"):
            for name in ("release_agent", "notify_on_release", "cgroup.procs"):
                if name in names:
                    found[os.path.join(folder, name)] = tried(write, os.path.join(folder, name), "1")
        os.mkdir("/tmp/cgroup")
        found["mount"] = "worked" if libc.mount(b"cgroup", b"/tmp/cgroup", b"cgroup", 0, b"memory") == 0 else "refused"
        run = subprocess.run(["unshare", "-UrC", "true"], capture_output=True)
        found["unshare"] = "worked" if run.returncode == 0 else "refused"
        say(found)
    """
    found = await findings(engine_socket, python_image, script)
    assert found["mount"] == found["unshare"] == "refused"
    assert "worked" not in found.values()


@pytest.mark.promise("no-kernel-surface")
async def test_dangerous_system_calls_are_refused(engine_socket: Path, python_image: str) -> None:
    which = 0 if platform.machine() == "x86_64" else 1
    numbers = {name: pair[which] for name, pair in CALLS.items()}
    found = await findings(
        engine_socket, python_image, f"say({{n: syscall(c, 0, 0, 0, 0, 0) for n, c in {numbers}.items()}})"
    )
    # EPERM and ENOSYS are the filter's answers: without it, nulls would get EFAULT, EINVAL or EBADF here.
    assert {name: answer for name, answer in found.items() if answer not in {"EPERM", "ENOSYS"}} == {}


@pytest.mark.promise("no-kernel-surface")
async def test_clone_makes_no_namespace(engine_socket: Path, python_image: str) -> None:
    number = 56 if platform.machine() == "x86_64" else 220
    flags = [0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000]
    script = f"""
        def clone(flag):
            answer = syscall({number}, flag | 17, 0, 0, 0, 0)
            if answer == "worked" and os.getpid() != parent:
                os._exit(0)
            return answer
        parent = os.getpid()
        say([clone(flag) for flag in {flags}])
    """
    assert await findings(engine_socket, python_image, script) == ["EPERM"] * len(flags)


@pytest.mark.promise("no-kernel-surface")
async def test_only_common_families_of_sockets_exist(engine_socket: Path, python_image: str) -> None:
    script = """
        def make(family, kind=socket.SOCK_STREAM, protocol=0):
            return tried(lambda: socket.socket(family, kind, protocol).close())
        say({"alg": make(38, socket.SOCK_SEQPACKET), "vsock": make(40), "packet": make(17, socket.SOCK_RAW, 768),
             "bluetooth": make(31, socket.SOCK_RAW), "can": make(29, socket.SOCK_RAW), "tipc": make(30),
             "xdp": make(44, socket.SOCK_RAW), "kcm": make(41), "smc": make(43), "rds": make(21),
             "audit": make(16, socket.SOCK_RAW, 9), "netfilter": make(16, socket.SOCK_RAW, 12),
             "uevent": make(16, socket.SOCK_RAW, 15), "raw": make(2, socket.SOCK_RAW, 1),
             "unix": make(1), "inet": make(2), "inet6": make(10), "route": make(16, socket.SOCK_RAW, 0)})
    """
    found = await findings(engine_socket, python_image, script)
    usable = {"unix", "inet", "inet6", "route"}
    assert {name for name, answer in found.items() if answer == "worked"} == usable
    assert {answer for name, answer in found.items() if name not in usable} == {"EPERM"}


@pytest.mark.promise("no-leaked-descriptors")
async def test_no_descriptor_of_the_host_is_open(engine_socket: Path, python_image: str) -> None:
    script = """
        def open_files(pid):
            numbers = os.listdir(f"/proc/{pid}/fd")
            paths = [f"/proc/{pid}/fd/{number}" for number in numbers]
            return [os.readlink(path).split(":")[0] for path in paths if os.path.lexists(path)]
        escapes = [n for n in range(3, 32) if os.path.exists(f"/proc/self/fd/{n}/../../../../etc/hostname")]
        say([open_files("self"), open_files(1), os.getcwd(), escapes])
    """
    found = await findings(engine_socket, python_image, script, workspace="write")
    # Standard input, output and error, of the program and of the init.
    assert found == [["pipe"] * 3, ["pipe"] * 3, "/workspace", []]


@pytest.mark.promise("no-cores-no-memory")
async def test_no_core_is_dumped(engine_socket: Path, python_image: str) -> None:
    script = """
        import signal
        try:
            resource.setrlimit(resource.RLIMIT_CORE, (2**20, 2**20))
            raised = "worked"
        except ValueError:
            raised = "refused"
        child = os.fork()
        if child == 0:
            os.chdir("/workspace")
            os.abort()
        _, status = os.waitpid(child, 0)
        say([resource.getrlimit(resource.RLIMIT_CORE), raised, os.WCOREDUMP(status), os.listdir("/workspace")])
    """
    assert await findings(engine_socket, python_image, script, workspace="write") == [[0, 0], "refused", False, []]


@pytest.mark.promise("no-cores-no-memory")
async def test_no_process_of_the_host_is_seen_and_none_can_be_traced(engine_socket: Path, python_image: str) -> None:
    script = """
        child = subprocess.Popen(["sleep", "60"])
        traced = libc.ptrace(16, child.pid, 0, 0)
        seen = {int(name) for name in os.listdir("/proc") if name.isdigit()} - {child.pid, os.getpid()}
        child.kill()
        say([traced, sorted(seen)])
    """
    # 1 is the sandbox's own init.
    assert await findings(engine_socket, python_image, script) == [-1, [1]]


@pytest.mark.promise("host-is-read-only")
async def test_no_device_of_the_host_is_there(engine_socket: Path, python_image: str) -> None:
    script = """
        import stat
        devices = []
        for folder, _, names in os.walk("/dev"):
            for name in names:
                mode = os.lstat(os.path.join(folder, name)).st_mode
                if stat.S_ISBLK(mode) or stat.S_ISCHR(mode):
                    devices.append(name)
        made = [tried(os.mknod, "/tmp/" + n, 0o600 | k, os.makedev(*d))
                for n, k, d in (("disk", stat.S_IFBLK, (254, 0)), ("mem", stat.S_IFCHR, (1, 1)))]
        say([sorted(set(devices)), made])
    """
    devices, made = await findings(engine_socket, python_image, script)
    assert set(devices) <= {"null", "zero", "full", "random", "urandom", "tty", "ptmx", "console"}
    assert made == ["EPERM", "EPERM"]


@pytest.mark.promise("no-secrets-inside")
async def test_the_environment_is_the_spec_s_alone(engine_socket: Path, python_image: str) -> None:
    os.environ["MUXI_TEST_SECRET"] = "hunter2"
    try:
        found = await findings(engine_socket, python_image, "say(dict(os.environ))", environment={"GIVEN": "1"})
    finally:
        del os.environ["MUXI_TEST_SECRET"]
    with APIClient(base_url=f"unix://{engine_socket}", version="auto") as client:
        image_s_own = {entry.split("=")[0] for entry in client.inspect_image(python_image)["Config"]["Env"]}
    assert "hunter2" not in found.values()
    assert set(found) - image_s_own <= {"PATH", "HOSTNAME", "HOME", "GIVEN", "LC_CTYPE"}
