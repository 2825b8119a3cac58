"""What the probe tries, inside a sandbox like any other. Standard library only; its source is sent into the container.

Prints one line of JSON for each attempt: its name, what was tried, what happened, and whether that is as it should be.
"""

import ctypes
import errno
import json
import os
import platform
import resource
import socket
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

LIBC = ctypes.CDLL(None, use_errno=True)
REFUSED = ("EPERM", "EACCES", "ENOSYS")
GONE = (*REFUSED, "ENOENT", "EROFS", "EINVAL", "ENODEV", "ENXIO")
CALLS = {  # <asm/unistd_64.h>, <asm-generic/unistd.h>; by machine, since a number elsewhere is another call
    "x86_64": {
        "mount": 165,
        "unshare": 272,
        "setns": 308,
        "ptrace": 101,
        "keyctl": 250,
        "bpf": 321,
        "io_uring_setup": 425,
        "userfaultfd": 323,
        "perf_event_open": 298,
        "pivot_root": 155,
        "init_module": 175,
        "kexec_load": 246,
        "open_by_handle_at": 304,
    },
    "aarch64": {
        "mount": 40,
        "unshare": 97,
        "setns": 268,
        "ptrace": 117,
        "keyctl": 219,
        "bpf": 280,
        "io_uring_setup": 425,
        "userfaultfd": 282,
        "perf_event_open": 241,
        "pivot_root": 41,
        "init_module": 105,
        "kexec_load": 104,
        "open_by_handle_at": 265,
    },
}
NEW_USER, NEW_NET = 0x10000000, 0x40000000
TRACEME = 0


def say(name: str, tried: str, happened: object, *, ok: bool) -> None:
    """Report one attempt."""
    print(json.dumps({"name": name, "tried": tried, "happened": str(happened)[:300], "ok": bool(ok)}), flush=True)  # noqa: T201  # its output is its report


def outcome(attempt: "Callable[..., object]", *arguments: object) -> str:
    """What came of an attempt: the name of an error, or that it worked."""
    try:
        attempt(*arguments)
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error))
    return "it worked"


def status(field: str) -> str:
    """A field of the process's own status."""
    with open("/proc/self/status") as file:  # noqa: PTH123  # nothing is imported that is not needed
        return next((line.split()[1] for line in file if line.startswith(field + ":")), "")


def read(path: str) -> str:
    """A whole file."""
    with open(path) as file:  # noqa: PTH123  # as above
        return file.read()


def write(path: str) -> None:
    """Open an existing file to write. Nothing is written: a probe that gets through must do no harm."""
    os.close(os.open(path, os.O_WRONLY))


def create(path: str) -> None:
    """A new file, removed again."""
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
    os.unlink(path)  # noqa: PTH108  # as above


def probe_privileges() -> None:
    """User, capabilities, flags."""
    say("user", "look at the user", os.getuid(), ok=os.getuid() != 0 and os.getgid() != 0)
    sets = {name: status(name) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")}
    say("capabilities", "look at every set", sets, ok=all(set(value) == {"0"} for value in sets.values()))
    say("no-new-privileges", "look at the flag", status("NoNewPrivs"), ok=status("NoNewPrivs") == "1")
    say("seccomp", "look at the mode", status("Seccomp"), ok=status("Seccomp") == "2")
    limits = resource.getrlimit(resource.RLIMIT_CORE)
    say("core-dumps", "look at the limit", limits, ok=limits == (0, 0))


def probe_calls() -> None:
    """System calls that lead out of a sandbox or into the kernel."""
    numbers = CALLS.get(platform.machine())
    if numbers is None:
        say("system-calls", "call the kernel", f"the numbers for {platform.machine()} are not known", ok=False)
        return
    arguments = {"unshare": (NEW_USER | NEW_NET,), "ptrace": (TRACEME,)}
    for name, number in numbers.items():
        ctypes.set_errno(0)
        given = (*arguments.get(name, ()), 0, 0, 0, 0, 0)[:5]
        result = LIBC.syscall(ctypes.c_long(number), *(ctypes.c_long(value) for value in given))
        happened = "it worked" if result != -1 else errno.errorcode.get(ctypes.get_errno(), "?")
        say(f"call-{name}", f"call {name}", happened, ok=happened in REFUSED)


def probe_sockets() -> None:
    """Families of sockets that programs do not need."""
    families = {"alg": (38, 5), "vsock": (40, 1), "packet": (17, 3), "netlink-audit": (16, 3), "raw": (2, 3)}
    for name, (family, kind) in families.items():
        protocol = 9 if name == "netlink-audit" else 1 if name == "raw" else 0
        happened = outcome(lambda f=family, k=kind, p=protocol: socket.socket(f, k, p).close())
        say(f"socket-{name}", "open one", happened, ok=happened in (*REFUSED, "EAFNOSUPPORT", "EPROTONOSUPPORT"))


def probe_network() -> None:
    """Anything that would be a way out."""
    names = sorted(os.listdir("/sys/class/net"))  # noqa: PTH208  # as above
    say("interfaces", "list them", names, ok=names == ["lo"])
    routes = read("/proc/net/route").strip().splitlines()[1:]
    say("routes", "list them", routes, ok=routes == [])
    for address in ("1.1.1.1", "169.254.169.254", "172.17.0.1"):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as connection:
            connection.settimeout(1)
            happened = outcome(connection.connect, (address, 80))
        say(f"connect-{address}", f"connect to {address}", happened, ok=happened in (*REFUSED, "ENETUNREACH"))
    happened = outcome(socket.gethostbyname, "example.com")
    say("dns", "resolve a name", happened, ok=happened != "it worked")


def probe_files() -> None:
    """Files of the host and the kernel."""
    kernel = {
        "core-pattern": "/proc/sys/kernel/core_pattern",
        "sysrq": "/proc/sysrq-trigger",
        "modprobe": "/proc/sys/kernel/modprobe",
        "uevent": "/sys/kernel/uevent_helper",
        "release-agent": "/sys/fs/cgroup/release_agent",
        "release-agent-v1": "/sys/fs/cgroup/memory/release_agent",
    }
    for name, path in kernel.items():
        happened = outcome(write, path)
        say(f"write-{name}", f"write to {path}", happened, ok=happened in GONE)
    for path in ("/probe", "/etc/probe", "/workspace/probe", "/run/probe", "/dev/probe"):
        happened = outcome(create, path)
        say(f"create-{path}", f"make the file {path}", happened, ok=happened in GONE)
    for path in ("/proc/kcore", "/dev/mem", "/dev/kvm", "/dev/sda", "/dev/vda", "/dev/fuse"):
        happened = outcome(read_byte, path)
        say(f"read-{path}", f"read {path}", happened, ok=happened in GONE or happened == "nothing in it")


def read_byte(path: str) -> None:
    """The first byte of a file; an empty one counts as masked."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        if not os.read(descriptor, 1):
            raise OSError(errno.ENODEV, "nothing in it")
    finally:
        os.close(descriptor)


def probe_host() -> None:
    """The engine, descriptors, processes, setuid programs."""
    places = ("/var/run/docker.sock", "/run/docker.sock", "/run/containerd/containerd.sock", "/run/podman/podman.sock")
    found = [path for path in places if os.path.exists(path)]  # noqa: PTH110  # as above
    say("engine-socket", "look for one", found or "none", ok=not found)
    open_files = {number: target(number) for number in os.listdir("/proc/self/fd")}  # noqa: PTH208  # as above
    foreign = {number: path for number, path in open_files.items() if int(number) > 2 and path}  # noqa: PLR2004
    say("descriptors", "look for more than three", foreign or "none", ok=not foreign)
    others = [name for name in os.listdir("/proc") if name.isdigit() and int(name) > os.getpid() + 5]  # noqa: PTH208
    say("processes", "look for those of the host", len(others), ok=len(others) < 3)  # noqa: PLR2004
    setuid = [path for path in ("/usr/bin/su", "/usr/bin/sudo", "/usr/bin/mount") if is_setuid(path)]
    before = os.geteuid()
    say("setuid", "look for programs, and become root", setuid, ok=outcome(os.setuid, 0) in REFUSED and before != 0)


def target(number: str) -> str:
    """What a descriptor is of."""
    try:
        return os.readlink(f"/proc/self/fd/{number}")  # noqa: PTH115  # as above
    except OSError:
        return ""  # the descriptor of the listing itself


def is_setuid(path: str) -> bool:
    """Whether it is a program that changes its user."""
    try:
        return bool(os.stat(path).st_mode & stat.S_ISUID)  # noqa: PTH116  # as above
    except OSError:
        return False


def probe_limits() -> None:
    """Limits, as the kernel has them, and one of them tried."""
    for name, paths in {
        "memory": ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"),
        "pids": ("/sys/fs/cgroup/pids.max", "/sys/fs/cgroup/pids/pids.max"),
    }.items():
        values = [read(path).strip() for path in paths if os.path.exists(path)]  # noqa: PTH110  # as above
        wanted = os.environ[f"PROBE_{name.upper()}"]
        say(f"limit-{name}", f"read it, want {wanted}", values, ok=values == [wanted])
    say("fork-bomb", "make processes without end", bomb(int(os.environ["PROBE_PIDS"])), ok=True)


def bomb(limit: int) -> int:
    """How many could be made; more than the limit is told by raising."""
    children: list[int] = []
    try:
        while len(children) <= limit:
            child = os.fork()
            if not child:
                os.read(0, 1)
                os._exit(0)
            children.append(child)
    except OSError:
        return len(children)
    finally:
        for child in children:
            os.kill(child, 9)
            os.waitpid(child, 0)
    raise RuntimeError(f"{len(children)} processes, and the limit is {limit}")


def main() -> None:
    """Try everything; one that fails to run is told as a failure."""
    for probe in (
        probe_privileges,
        probe_calls,
        probe_sockets,
        probe_network,
        probe_files,
        probe_host,
        probe_limits,
    ):
        try:
            probe()
        except Exception as error:  # noqa: BLE001  # what could not be tried is not proved
            say(probe.__name__.replace("_", "-"), "try all of it", f"{type(error).__name__}: {error}", ok=False)
    print(json.dumps({"name": "end"}), flush=True)  # noqa: T201  # as above


if __name__ == "__main__":
    main()
