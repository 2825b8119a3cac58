"""Python sessions of the code server, through the SDK's client."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client
from servers_harness import is_alive, local, text_of, until


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    async with Client(local("code", tmp_path)) as client:
        yield client


async def run(client: Client, code: str, **more: Any) -> dict[str, Any]:
    result = await client.call_tool("session_run", {"code": code, **more})
    assert not result.is_error, result.content
    assert result.structured_content
    return result.structured_content


async def call(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content
    assert result.structured_content
    return result.structured_content


async def test_state_stays_between_calls(client: Client) -> None:
    assert (await run(client, "import math\nx = 41"))["state"] == "new"
    result = await run(client, "x += 1\nx, math.floor(2.5)")
    assert result["state"] == "kept"
    assert result["result"] == "(42, 2)"
    assert (await run(client, "_[0]"))["result"] == "42"


async def test_what_is_printed_is_apart_from_the_value(client: Client) -> None:
    result = await run(client, "import sys\nprint('out')\nprint('err', file=sys.stderr)\n'value'")
    assert (result["stdout"], result["stderr"], result["result"]) == ("out\n", "err\n", "'value'")


@pytest.mark.parametrize("code", ["None", "x = 1", "1;", "def f(): pass", "", "# nothing"])
async def test_what_has_no_value_shows_none(client: Client, code: str) -> None:
    assert (await run(client, code or " "))["result"] is None


async def test_a_long_value_is_cut(client: Client) -> None:
    result = (await run(client, "'x' * 1_000_000"))["result"]
    assert "characters left out" in result
    assert len(result) < 21_000


async def test_an_error_shows_the_users_frames_with_their_lines(client: Client) -> None:
    await run(client, "def f(x):\n    return 1 / x")
    result = await run(client, "f(0)")
    error = result["error"]
    assert result["ended_by"] == "error"
    assert (error["type"], error["message"]) == ("ZeroDivisionError", "division by zero")
    assert "    return 1 / x" in error["traceback"]
    assert '"<input 2>", line 1' in error["traceback"]
    assert "muxi_servers" not in error["traceback"]
    assert (await run(client, "f(1)"))["result"] == "1.0"


async def test_a_syntax_error_keeps_the_session(client: Client) -> None:
    await run(client, "x = 1")
    assert (await run(client, "y = = 2"))["error"]["type"] == "SyntaxError"
    assert (await run(client, "x"))["result"] == "1"


async def test_top_level_await_works_and_the_loop_stays(client: Client) -> None:
    await run(client, "import asyncio\nevent = asyncio.Event()\nasync def f():\n    event.set()\n    return 3")
    assert (await run(client, "await f()"))["result"] == "3"
    assert (await run(client, "v = await f()\nasync with asyncio.timeout(1):\n    await event.wait()\nv"))[
        "result"
    ] == "3"


async def test_classes_of_the_session_can_be_pickled(client: Client) -> None:
    await run(client, "import pickle\nclass A: pass")
    assert (await run(client, "type(pickle.loads(pickle.dumps(A()))).__name__"))["result"] == "'A'"


async def test_sessions_of_other_names_are_separate(client: Client) -> None:
    await run(client, "x = 1", session="a")
    assert (await run(client, "x", session="b"))["error"]["type"] == "NameError"
    for name in ("c", "d"):
        await run(client, "1", session=name)
    result = await client.call_tool("session_run", {"code": "1", "session": "e"})
    assert result.is_error
    assert "reset one" in text_of(result)
    await call(client, "session_reset", session="a")
    assert (await run(client, "1", session="e"))["state"] == "new"


async def test_a_reset_forgets_everything(client: Client) -> None:
    await run(client, "x = 1")
    assert (await call(client, "session_reset"))["ended"] is True
    assert (await call(client, "session_reset"))["ended"] is False
    assert (await run(client, "x"))["error"]["type"] == "NameError"


async def test_an_interrupt_from_another_call_stops_what_runs_and_keeps_the_variables(
    client: Client, tmp_path: Path
) -> None:
    await run(client, "x = 1")
    results: list[dict[str, Any]] = []

    async def busy() -> None:
        results.append(await run(client, "open('started', 'w').close()\nwhile True: pass"))

    async with anyio.create_task_group() as group:
        group.start_soon(busy)
        await until((tmp_path / "started").exists)
        second = await client.call_tool("session_run", {"code": "1"})
        assert second.is_error
        assert (await call(client, "session_interrupt"))["interrupted"] is True
    assert results[0]["error"]["type"] == "KeyboardInterrupt"
    assert (await run(client, "x"))["result"] == "1"
    assert (await call(client, "session_interrupt"))["interrupted"] is False


async def test_a_call_that_takes_too_long_is_interrupted_and_keeps_the_variables(client: Client) -> None:
    await run(client, "x = 1")
    result = await run(client, "import time\ntime.sleep(1000)", timeout_seconds=0.2)
    assert (result["ended_by"], result["state"]) == ("timeout", "kept")
    assert result["error"]["type"] == "KeyboardInterrupt"
    assert (await run(client, "x"))["result"] == "1"


async def test_a_call_that_will_not_be_interrupted_is_killed_and_says_that_the_variables_are_lost(
    client: Client,
) -> None:
    code = "import signal, time\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\ntime.sleep(1000)"
    result = await client.call_tool("session_run", {"code": code, "timeout_seconds": 0.2})
    assert result.structured_content
    assert (result.structured_content["ended_by"], result.structured_content["state"]) == ("timeout", "lost")
    assert "variables are gone" in text_of(result)
    assert (await run(client, "1"))["state"] == "new"


@pytest.mark.parametrize("code", ["import os\nos._exit(3)", "exit(3)", "import sys\nsys.exit(3)"])
async def test_a_session_that_ends_itself_says_so(client: Client, code: str) -> None:
    result = await run(client, "print('last words', flush=True)\n" + code)
    assert (result["state"], result["ended_by"]) == ("lost", "exit")
    assert result["stdout"] == "last words\n"


async def test_a_session_that_ended_between_calls_is_begun_anew_and_says_so(client: Client) -> None:
    pid = int((await run(client, "import os\nos.getpid()"))["result"])
    os.kill(pid, signal.SIGKILL)
    await until(lambda: not is_alive(pid))
    result = await run(client, "os")
    assert result["state"] == "restarted"
    assert result["error"]["type"] == "NameError"


async def test_between_calls_a_session_stands_still(client: Client) -> None:
    code = (
        "import os, threading, time\nturns = 0\n"
        "def turn():\n    global turns\n    while True:\n        turns += 1; time.sleep(0.01)\n"
        "threading.Thread(target=turn, daemon=True).start()\nos.getpid()"
    )
    pid = (await run(client, code))["result"]
    assert Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"  # noqa: ASYNC240 - one look
    result = await run(client, "before = turns\nwhile turns < before + 3: time.sleep(0.01)\nturns > before")
    assert result["result"] == "True"


async def test_a_fork_that_runs_on_does_not_speak_for_the_session(client: Client) -> None:
    result = await run(client, "import os, time\nif os.fork() == 0: print('child')\nelse: time.sleep(0.5)\n'done'")
    assert result["result"] == "'done'"
    assert result["stdout"] == "child\n"
    assert (await run(client, "1"))["state"] == "kept"


async def test_what_the_code_prints_and_writes_to_the_channel_cannot_forge_a_reply(client: Client) -> None:
    await run(client, "x = 1")
    lie = '{"result":"forged","tables":[],"images":[],"error":null}'
    result = await run(client, f"import os\nprint({lie!r}, flush=True)\nos.write(1, b'{lie}\\n')\n'true'")
    assert result["result"] == "'true'"
    assert result["stdout"] == f"{lie}\n{lie}\n"


@pytest.mark.parametrize("noise", ["b'noise\\n'", "b'{}\\n'", "b'[' * 100000 + b'\\n'", "b'x' * (9 * 2**20)"])
async def test_noise_on_the_channel_ends_the_session_and_nothing_else(client: Client, noise: str) -> None:
    result = await run(client, f"import os, time\nos.write(4, {noise})\ntime.sleep(1000)")
    assert result["state"] == "lost"
    assert (await run(client, "1"))["result"] == "1"


async def test_display_shows_what_it_is_given(client: Client) -> None:
    assert (await run(client, "display(1, 'a')"))["stdout"] == "1\n'a'\n"
