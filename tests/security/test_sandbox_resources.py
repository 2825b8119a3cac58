"""Attacks on the host's memory, disk and processes, tried from inside a sandbox."""

from __future__ import annotations

import json
import resource
from pathlib import Path

import anyio
import pytest
from attack import attacker, attacking, findings
from docker import APIClient
from engine_state import installation

from muxi_sandbox.contract import Limits, Sandbox, WorkspaceAccess
from muxi_sandbox.docker.backend import DockerBackend
from muxi_sandbox.docker.settings import EngineSettings
from muxi_sandbox.errors import OutputFloodError, SandboxDiedError

MIB = 2**20


@pytest.mark.promise("bounded-resources")
async def test_a_fork_bomb_stops_at_the_limit(engine_socket: Path, python_image: str) -> None:
    script = """
        made = 0
        while True:
            try:
                if os.fork() == 0:
                    time.sleep(600)
            except BlockingIOError:
                break
            made += 1
        say(made)
    """
    made = await findings(engine_socket, python_image, script, limits=Limits(pids=32))
    assert 20 <= made < 32


@pytest.mark.promise("bounded-resources")
@pytest.mark.parametrize(
    "where",
    [
        pytest.param("held = []\nwhile True: held.append(os.urandom(2**20))", id="heap"),
        pytest.param("f = open('/dev/shm/x', 'wb')\nwhile True: f.write(bytes(2**20))", id="shared memory"),
        pytest.param("f = open('/tmp/x', 'wb')\nwhile True: f.write(bytes(2**20))", id="tmp"),
        pytest.param("f = open('/workspace/x', 'wb')\nwhile True: f.write(bytes(2**20))", id="workspace"),
        pytest.param("f = os.memfd_create('x')\nwhile True: os.write(f, bytes(2**20))", id="memfd"),
    ],
)
async def test_every_kind_of_memory_counts(engine_socket: Path, python_image: str, where: str) -> None:
    limits = Limits(memory_mib=48, shm_mib=512, tmp_mib=512, workspace_mib=512)
    async with attacking(engine_socket, python_image, where, limits=limits, workspace="write") as sandbox:
        with pytest.raises(SandboxDiedError) as died:
            await sandbox.receive()
    assert died.value.out_of_memory


@pytest.mark.promise("bounded-resources")
@pytest.mark.parametrize("path", ["/tmp/x", "/dev/shm/x", "/workspace/x"])
async def test_filling_a_disk_stops_at_the_limit(engine_socket: Path, python_image: str, path: str) -> None:
    script = f"""
        written = 0
        with open({path!r}, "wb", buffering=0) as file:
            try:
                while True:
                    written += file.write(bytes(2**20))
            except OSError as error:
                say([written, errno.errorcode[error.errno]])
    """
    limits = Limits(tmp_mib=8, shm_mib=8, workspace_mib=8)
    written, error = await findings(engine_socket, python_image, script, limits=limits, workspace="write")
    assert error == "ENOSPC"
    assert written <= 8 * MIB


@pytest.mark.promise("bounded-resources")
@pytest.mark.parametrize("folder", ["/tmp", "/workspace"])
async def test_using_up_inodes_stops_at_the_limit(engine_socket: Path, python_image: str, folder: str) -> None:
    script = f"""
        made = 0
        try:
            while True:
                os.close(os.open(f"{folder}/{{made}}", os.O_CREAT))
                made += 1
        except OSError as error:
            say([made, errno.errorcode[error.errno]])
    """
    limits = Limits(tmp_mib=4, workspace_inodes=1000)
    made, error = await findings(engine_socket, python_image, script, limits=limits, workspace="write")
    assert error == "ENOSPC"
    assert made <= 1024


@pytest.mark.promise("bounded-resources")
async def test_using_up_descriptors_stops_at_the_limit(engine_socket: Path, python_image: str) -> None:
    script = """
        held = []
        try:
            while True:
                held.append(os.open("/dev/null", os.O_RDONLY))
        except OSError as error:
            found = [len(held), errno.errorcode[error.errno]]
        for descriptor in held:
            os.close(descriptor)
        say(found)
    """
    opened, error = await findings(engine_socket, python_image, script, limits=Limits(open_files=100))
    assert (opened <= 97, error) == (True, "EMFILE")


@pytest.mark.promise("bounded-resources")
async def test_limits_cannot_be_raised_from_inside(engine_socket: Path, python_image: str) -> None:
    script = """
        found = []
        for kind in (resource.RLIMIT_NOFILE, resource.RLIMIT_CORE):
            try:
                resource.setrlimit(kind, (2**16, 2**16))
                found.append("worked")
            except (ValueError, OSError):
                found.append("refused")
        say(found)
    """
    found = await findings(engine_socket, python_image, script, limits=Limits(open_files=100))
    assert found == ["refused", "refused"]


@pytest.mark.promise("bounded-resources")
async def test_nothing_but_the_sized_folders_can_be_written(engine_socket: Path, python_image: str) -> None:
    script = """
        open_to_me = []
        for folder, folders, _ in os.walk("/"):
            if folder in ("/proc", "/sys"):
                folders.clear()
                continue
            write = lambda: os.close(os.open(folder, os.O_TMPFILE | os.O_RDWR))
            if os.access(folder, os.W_OK) and tried(write) != "EROFS":
                open_to_me.append(folder)
        say(sorted(open_to_me))
    """
    found = await findings(engine_socket, python_image, script, workspace="write")
    assert found == ["/dev/mqueue", "/dev/shm", "/tmp", "/workspace"]


@pytest.mark.promise("bounded-resources")
async def test_message_queues_cannot_hold_memory(engine_socket: Path, python_image: str) -> None:
    script = """
        say(libc.mq_open(ctypes.c_char_p(b"/q"), os.O_CREAT | os.O_RDWR, 0o600, None))
    """
    assert await findings(engine_socket, python_image, script) == -1


@pytest.mark.promise("bounded-output")
@pytest.mark.parametrize(
    "flood",
    [
        pytest.param("line = b'x' * 65535 + b'\\n'\nfor _ in range(2**15): os.write(1, line)", id="2 GiB of lines"),
        pytest.param("while True: os.write(1, b'x' * 65536)", id="no line feed"),
        pytest.param("while True: os.write(2, b'x' * 65536)", id="standard error"),
    ],
)
async def test_a_flood_ends_and_costs_no_memory(engine_socket: Path, python_image: str, flood: str) -> None:
    before = peak_bytes()
    limits = Limits(frame_mib=4, output_mib=64)
    async with attacking(engine_socket, python_image, flood, limits=limits) as sandbox:
        with pytest.raises(OutputFloodError, match="was killed"):
            await receive_for_ever(sandbox)
        assert len(sandbox.stderr_tail()) <= 64 * 2**10
    assert peak_bytes() - before < 48 * MIB


async def receive_for_ever(sandbox: Sandbox) -> None:
    while True:
        await sandbox.receive()


def peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@pytest.mark.promise("bounded-output")
async def test_output_is_in_no_file_of_the_host(engine_socket: Path, python_image: str) -> None:
    script = "print('x' * 2**20, flush=True); sys.stdin.read()"
    async with attacking(engine_socket, python_image, script) as sandbox:
        await sandbox.receive()
        with APIClient(base_url=f"unix://{engine_socket}", version="auto") as client:
            found = client.inspect_container(sandbox.id)
        assert (found["HostConfig"]["LogConfig"]["Type"], found["LogPath"]) == ("none", "")


@pytest.mark.promise("nothing-survives")
async def test_children_that_hide_are_gone_with_the_lease(engine_socket: Path, python_image: str) -> None:
    script = """
        import signal
        for _ in range(3):
            if os.fork() == 0:
                os.setsid()
                if os.fork() == 0:
                    for number in range(1, 32):
                        if number not in (signal.SIGKILL, signal.SIGSTOP):
                            signal.signal(number, signal.SIG_IGN)
                    while True:
                        time.sleep(1)
                os._exit(0)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        say("hidden")
        sys.stdin.read()
        time.sleep(600)
    """
    async with attacking(engine_socket, python_image, script) as sandbox:
        assert json.loads(await sandbox.receive()) == "hidden"
        with APIClient(base_url=f"unix://{engine_socket}", version="auto") as client:
            processes = [int(row[1]) for row in client.top(sandbox.id)["Processes"]]
        assert len(processes) >= 5
    assert [pid for pid in processes if sandbox.id in cgroup_of(pid)] == []


def cgroup_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cgroup").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


@pytest.mark.promise("nothing-survives")
async def test_a_child_that_holds_the_output_open_does_not_hold_the_lease(
    engine_socket: Path, python_image: str
) -> None:
    script = """
        if os.fork() == 0:
            os.setsid()
            time.sleep(600)
        say("leaving")
        os._exit(0)
    """
    async with attacking(engine_socket, python_image, script) as sandbox:
        assert json.loads(await sandbox.receive()) == "leaving"
        # The init ends with its first child, and the kernel ends the rest with the init.
        with pytest.raises(SandboxDiedError) as died:
            await sandbox.receive()
        assert died.value.exit_code == 0


@pytest.mark.promise("never-reused")
async def test_nothing_of_one_task_is_seen_by_the_next(engine_socket: Path, python_image: str) -> None:
    leave = """
        for folder in ("/tmp", "/dev/shm", "/workspace"):
            write(folder + "/left", "secret")
        say("left")
    """
    look = "say([name for folder in ('/tmp', '/dev/shm', '/workspace') for name in os.listdir(folder)])"
    async with DockerBackend(EngineSettings(socket=engine_socket), installation("attacks")) as backend:
        seen: list[str] = []
        for task, script in (("first", leave), ("second", look)):
            spec = attacker(python_image, script, task=task, workspace=WorkspaceAccess.WRITE)
            async with backend.lease(spec) as lease:
                seen.append(lease.sandbox.id)
                answer = json.loads(await lease.sandbox.receive())
        assert answer == []
        assert len(set(seen)) == 2
        with APIClient(base_url=f"unix://{engine_socket}", version="auto") as client:
            listed = {container["Id"] for container in client.containers(all=True)}
        assert not listed & set(seen)


@pytest.mark.promise("never-reused")
async def test_two_tasks_at_once_see_nothing_of_each_other(engine_socket: Path, python_image: str) -> None:
    script = """
        write("/workspace/mine", "x")
        write("/tmp/mine", "x")
        sys.stdin.readline()
        processes = [name for name in os.listdir("/proc") if name.isdigit()]
        say([os.listdir("/workspace"), os.listdir("/tmp"), len(processes), os.listdir("/dev/shm")])
    """
    answers: list[object] = []

    async def one(task: str, ready: anyio.Event, other: anyio.Event) -> None:
        async with attacking(engine_socket, python_image, script, task=task, workspace="write") as sandbox:
            ready.set()
            await other.wait()
            await sandbox.send(b"go")
            answers.append(json.loads(await sandbox.receive()))

    left, right = anyio.Event(), anyio.Event()
    async with anyio.create_task_group() as group:
        group.start_soon(one, "left", left, right)
        group.start_soon(one, "right", right, left)
    assert answers == [[["mine"], ["mine"], 2, []]] * 2
