"""Programs that will not end, and programs that use up what there is. Attacks 12, 13 and 14."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest
from mcp import Client
from servers_harness import boxed

LIVING = """
import os, time
def living():
    for pid in sorted(filter(str.isdigit, os.listdir('/proc')), key=int):
        try:
            stat = open(f'/proc/{pid}/stat').read().rpartition(')')[2].split()
            name = open(f'/proc/{pid}/comm').read().strip()
        except OSError: continue
        if int(pid) not in (1, os.getpid(), os.getppid()) and stat[0] != 'Z': yield name
# The zygote, and the two that it has standing by once this program has run for a moment.
for _ in range(100):
    if len(list(living())) >= 3: break
    time.sleep(0.05)
for name in living(): print(name)
"""


@pytest.fixture
async def client(python_image: str) -> AsyncIterator[Client]:
    async with Client(boxed(python_image, "code")) as client:
        yield client


async def run(client: Client, code: str, language: str = "python", **more: Any) -> dict[str, Any]:
    result = await client.call_tool("run", {"language": language, "code": code, **more})
    assert not result.is_error, result.content
    assert result.structured_content
    return result.structured_content


async def living(client: Client) -> list[str]:
    """What else runs in the container: the zygote and what stands by, if nothing was left over."""
    return (await run(client, LIVING))["stdout"].splitlines()


async def session(client: Client, code: str, **more: Any) -> dict[str, Any]:
    result = await client.call_tool("session_run", {"code": code, **more})
    assert result.structured_content, result.content
    return result.structured_content


THREADS = """
import threading, time
while True:
    try: threading.Thread(target=time.sleep, args=(1000,)).start()
    except RuntimeError: pass
"""
ESCAPES = {
    "setsid": "setsid sleep 1000 & sleep 0.2",
    "double fork": "(setsid bash -c '(sleep 1000 &) ; sleep 1000' &) ; sleep 0.2",
    "ignores SIGTERM": "trap '' TERM INT HUP; (trap '' TERM INT HUP; while :; do sleep 1000; done) & sleep 0.2",
    "keeps stdout": "(while :; do echo x; sleep 0.01; done) & sleep 0.2",
    "nohup": "nohup sleep 1000 & disown; sleep 0.2",
    "stopped": "sleep 1000 & kill -STOP $!; sleep 0.2",
}


@pytest.mark.promise("process-tree-gone")
@pytest.mark.parametrize("how", list(ESCAPES))
@pytest.mark.parametrize("end", ["by itself", "by its time-out"])
async def test_nothing_of_a_run_outlives_the_call(client: Client, how: str, end: str) -> None:
    before = await living(client)
    forever = "; sleep 1000" if end == "by its time-out" else ""
    with anyio.fail_after(20):
        told = await run(client, ESCAPES[how] + forever, "bash", timeout_seconds=1 if forever else 30)
    assert told["ended_by"] == ("timeout" if forever else "exit")
    assert told["processes_killed"] >= 1
    assert await living(client) == before


RESPAWN = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
def guard():
    while True:
        if os.fork() == 0:
            os.setsid()
            time.sleep(0.02)
            continue
        time.sleep(0.01)
        os._exit(0)
if os.fork() == 0: guard()
time.sleep(0.2)
"""


@pytest.mark.promise("process-tree-gone")
async def test_a_process_that_keeps_changing_its_id_is_caught(client: Client) -> None:
    before = await living(client)
    await run(client, RESPAWN)
    assert await living(client) == before


@pytest.mark.promise("process-tree-gone")
@pytest.mark.parametrize("target", ["keeper", "keeper and orphans"])
async def test_killing_its_own_keeper_gets_a_program_nowhere(client: Client, target: str) -> None:
    before = await living(client)
    spawn = "os.system('setsid sleep 1000 & sleep 0.1')\n" if target != "keeper" else ""
    told = await run(client, f"import os, time\n{spawn}os.kill(os.getppid(), 9)\ntime.sleep(1000)", timeout_seconds=30)
    assert told["ended_by"] == "lost"
    assert await living(client) == before


@pytest.mark.promise("process-tree-gone")
async def test_what_a_session_starts_ends_with_the_call_and_the_session_stays(client: Client) -> None:
    await session(client, "import os, subprocess\nx = 1")
    with_session = await living(client)
    code = "p = subprocess.Popen(['setsid', 'sh', '-c', 'trap \"\" TERM; (sleep 1000 &); sleep 1000'])"
    told = await session(client, code)
    assert told["processes_killed"] >= 1
    assert await living(client) == with_session
    assert (await session(client, "x"))["result"] == "1"


@pytest.mark.promise("fork-bomb-ends-with-call")
@pytest.mark.parametrize(
    ("language", "code"),
    [
        ("bash", ":(){ :|:& };:"),
        ("bash", ":(){ :|:& };: ; sleep 1000"),
        ("python", "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass"),
        ("python", "import os\nwhile True:\n    try: os.fork() or os.setsid()\n    except OSError: pass"),
        ("python", THREADS),
    ],
)
async def test_a_fork_bomb_ends_with_its_call_and_the_server_serves_on(
    client: Client, language: str, code: str
) -> None:
    before = await living(client)
    with anyio.fail_after(30):
        await run(client, code, language, timeout_seconds=1)
    assert await living(client) == before


@pytest.mark.promise("fork-bomb-ends-with-call")
async def test_a_fork_bomb_in_a_session_ends_with_its_call(client: Client) -> None:
    before = await living(client)
    code = "import os\nwhile True:\n    try: os.fork() or os.setsid()\n    except (OSError, KeyboardInterrupt): pass"
    with anyio.fail_after(30):
        told = await session(client, code, timeout_seconds=1)
    assert told["ended_by"] == "timeout"
    await client.call_tool("session_reset", {})
    assert await living(client) == before
    assert (await session(client, "1"))["result"] == "1"


@pytest.mark.promise("fork-bomb-ends-with-call")
async def test_a_session_that_lies_about_being_done_stands_still(client: Client) -> None:
    reply = '{"result":"lie","tables":[],"images":[],"error":null}'
    code = f"import os\nos.write(4, b'{reply}\\n')\nwhile True:\n    try: os.fork()\n    except OSError: pass"
    assert (await session(client, "1"))["result"] == "1"
    with_session = await living(client)
    await session(client, code)
    assert len(await living(client)) <= len(with_session)
    assert (await run(client, "echo hi", "bash"))["stdout"] == "hi\n"


@pytest.mark.promise("fork-bomb-ends-with-call")
async def test_the_dead_of_a_session_do_not_use_up_the_processes(client: Client) -> None:
    code = "import os, time\nfor _ in range(90):\n    if os.fork() == 0: time.sleep(1000)"
    probe = "for i in 1 2 3 4 5 6 7 8 9; do sleep 0.01 & done; wait; echo hi"
    for _ in range(3):
        told = await session(client, code)
        assert told["processes_killed"] > 50, told
        assert (await run(client, probe, "bash"))["stdout"] == "hi\n"


@pytest.mark.promise("fork-bomb-ends-with-call")
async def test_while_a_fork_bomb_runs_other_calls_get_an_answer(client: Client) -> None:
    async with anyio.create_task_group() as group:
        code = "import os\nopen('bombed', 'w').close()\nwhile True:\n    try: os.fork()\n    except OSError: pass"
        group.start_soon(lambda: run(client, code, timeout_seconds=4))
        for _ in range(5):
            result = await client.call_tool("run", {"language": "bash", "code": "echo hi", "timeout_seconds": 10})
            assert result.content
    assert (await run(client, "echo hi", "bash"))["stdout"] == "hi\n"


@pytest.mark.promise("memory-bomb-told")
@pytest.mark.parametrize(
    ("language", "code"),
    [
        ("python", "b = bytearray()\nwhile True: b += bytes(2**24)"),
        ("bash", "python3 -c 'b = bytearray()\nwhile True: b += bytes(2**24)'; exit 5"),
        ("bash", "cat /dev/zero | tail"),
    ],
)
async def test_the_kernel_takes_the_program_and_not_the_server_and_the_result_says_so(
    client: Client, language: str, code: str
) -> None:
    told = await run(client, code, language)
    assert told["ended_by"] == "memory", told
    assert (await run(client, "echo hi", "bash"))["stdout"] == "hi\n"


@pytest.mark.promise("memory-bomb-told")
async def test_a_session_that_used_up_the_memory_says_that_its_variables_are_gone(client: Client) -> None:
    told = await session(client, "b = bytearray()\nwhile True: b += bytes(2**24)")
    assert (told["state"], told["ended_by"]) == ("lost", "memory")
    assert (await session(client, "1"))["state"] == "new"


@pytest.mark.promise("full-disk-told")
@pytest.mark.parametrize("folder", ["/workspace", "/tmp"])
async def test_a_full_disk_is_an_error_of_the_program_and_the_server_serves_on(client: Client, folder: str) -> None:
    told = await run(client, f"head -c 500M /dev/zero > {folder}/full", "bash")
    assert told["exit_code"] != 0
    assert "No space left" in told["stderr"]
    result = await client.call_tool("run", {"language": "bash", "code": f"rm {folder}/full"})
    if result.is_error:  # a full /tmp has no room for the program itself: a session needs none
        assert (await session(client, f"import os\nos.remove('{folder}/full')"))["error"] is None
    assert (await run(client, "echo hi", "bash"))["stdout"] == "hi\n"


@pytest.mark.promise("full-disk-told")
async def test_no_inode_left_is_an_error_of_the_program(client: Client) -> None:
    code = "for i in range(100_000): open(f'f{i}', 'w').close()"
    told = await run(client, code)
    assert "No space left" in told["stderr"]
    assert told["files"]["complete"] is False
    assert (await run(client, "rm -r /workspace/*", "bash"))["exit_code"] == 0


@pytest.mark.promise("full-disk-told")
async def test_using_up_descriptors_hurts_only_the_program(client: Client) -> None:
    told = await run(client, "import os\nfds = []\nwhile True: fds.append(os.dup(0))")
    assert "Too many open files" in told["stderr"]
    assert (await run(client, "echo hi", "bash"))["stdout"] == "hi\n"


@pytest.mark.promise("output-flood-bounded")
@pytest.mark.parametrize(
    "code",
    ["yes", "cat /dev/zero", "yes >&2", "yes & yes >&2 & wait", "head -c 2G /dev/zero | tr '\\0' 'x'"],
)
async def test_a_flood_of_output_ends_the_program_with_a_cut_result(client: Client, code: str) -> None:
    told = await run(client, code, "bash", max_output_bytes=1_000, timeout_seconds=50)
    assert told["ended_by"] == "output_limit"
    assert len(told["stdout"]) + len(told["stderr"]) < 3_000
    assert told["stdout_omitted_bytes"] + told["stderr_omitted_bytes"] > 60 * 2**20


@pytest.mark.promise("output-flood-bounded")
async def test_a_background_process_that_floods_is_held_to_its_ring(python_image: str) -> None:
    async with Client(boxed(python_image, "shell")) as client:
        await client.call_tool("process_start", {"command": "yes"})
        read: dict[str, Any] = {"output_bytes": 0}
        while read["output_bytes"] < 100 * 2**20:
            result = await client.call_tool("process_read", {"id": "p1", "position": 0, "max_bytes": 10})
            assert result.structured_content
            read = result.structured_content
        assert read["skipped_bytes"] > 90 * 2**20
        code = "grep VmRSS /proc/[0-9]*/status | sort -k2 -n | tail -1"
        result = await client.call_tool("run", {"command": code})
        assert result.structured_content
        assert int(result.structured_content["stdout"].split()[1]) < 40 * 1024
