"""The pair of processes that stands by for the next program, and what the program before it can do to it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest
from mcp import Client
from servers_harness import boxed

# Forked ahead while a program runs: whatever is neither the program nor above it.
OTHERS = """
import os, time
def parent(pid):
    return int(open(f'/proc/{pid}/stat').read().rpartition(')')[2].split()[1])
def others():
    above, pid = {os.getpid()}, os.getpid()
    while pid > 1:
        pid = parent(pid)
        above.add(pid)
    return sorted({int(name) for name in os.listdir('/proc') if name.isdigit()} - above)
for _ in range(200):
    if len(others()) == 2: break
    time.sleep(0.05)
assert len(others()) == 2, others()
"""
LOOK = """
for pid in others():
    for name in 'mem environ maps auxv cwd exe root fd fdinfo map_files stack syscall'.split():
        path = f'/proc/{pid}/{name}'
        try:
            if name in ('fd', 'fdinfo', 'map_files'): print('READ', name, os.listdir(path))
            elif name in ('cwd', 'exe', 'root'): print('READ', name, os.readlink(path))
            else:
                with open(path, 'rb') as file: print('READ', name, len(file.read(4096)))
        except OSError: pass
    try:
        os.write(os.open(f'/proc/{pid}/oom_score_adj', os.O_WRONLY), b'1000')
        print('WRITTEN')
    except OSError: pass
print('looked')
"""


@pytest.fixture
async def client(python_image: str) -> AsyncIterator[Client]:
    async with Client(boxed(python_image, "code")) as client:
        yield client


async def run(client: Client, code: str, **more: Any) -> dict[str, Any]:
    with anyio.fail_after(60):
        result = await client.call_tool("run", {"language": "python", "code": code, **more})
    assert not result.is_error, result.content
    assert result.structured_content
    return result.structured_content


@pytest.mark.promise("guest-memory-unreadable")
async def test_a_program_cannot_look_into_the_one_that_stands_by(client: Client) -> None:
    assert (await run(client, OTHERS + LOOK))["stdout"] == "looked\n"


_ENDING = {"KILL", "TERM", "HUP"}


@pytest.mark.parametrize("signal", ["KILL", "STOP", "TERM", "INT", "HUP"])
@pytest.mark.parametrize("which", ["[:1]", "[1:]", ""], ids=["the keeper", "the program", "both"])
async def test_the_next_program_runs_whatever_was_done_to_what_stood_by(
    client: Client, signal: str, which: str
) -> None:
    # The end of the one is that of the other, perhaps before its turn comes. A program that ends in the moment in which
    # it is handed over has ended as any other: so the attack waits until its victims are gone, if they go.
    attack = f"""
import signal, time
victims = others()
for pid in victims{which}:
    try: os.kill(pid, signal.SIG{signal})
    except ProcessLookupError: pass
until = time.monotonic() + 2
left = victims if {signal in _ENDING} else []
while any(os.path.exists(f'/proc/{{pid}}') for pid in left) and time.monotonic() < until: pass
"""
    assert (await run(client, OTHERS + attack))["exit_code"] == 0
    for number in range(3):
        told = await run(client, f"print({number})", timeout_seconds=20)
        assert (told["stdout"], told["exit_code"]) == (f"{number}\n", 0)


@pytest.mark.promise("runs-leak-nothing")
async def test_nothing_that_a_program_sets_is_there_for_the_next(client: Client) -> None:
    change = "import sys, builtins; os.environ['X'] = sys.x = builtins.x = os.x = 'left'; os.umask(0); os.chdir('/tmp')"
    ask = (
        "import sys, builtins, os\n"
        "print(os.environ.get('X'), [hasattr(one, 'x') for one in (sys, builtins, os)], oct(os.umask(0)), os.getcwd())"
    )
    before = (await run(client, ask))["stdout"]
    assert before == "None [False, False, False] 0o22 /workspace\n"
    await run(client, OTHERS + change)
    assert (await run(client, ask))["stdout"] == before


async def test_two_programs_at_once_are_two_processes(client: Client) -> None:
    told: list[str] = []

    async def one() -> None:
        told.append((await run(client, "import os, time; time.sleep(0.3); print(os.getpid())"))["stdout"])

    async with anyio.create_task_group() as group:
        for _ in range(4):
            group.start_soon(one)
    assert len(set(told)) == 4
