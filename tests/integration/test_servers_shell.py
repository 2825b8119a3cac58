"""The shell server, through the SDK's client."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client
from servers_harness import is_alive, local, read_if_there, text_of


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    async with Client(local("shell", tmp_path)) as client:
        yield client


async def call(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content
    assert result.structured_content
    return result.structured_content


async def refusal(client: Client, tool: str, **arguments: Any) -> str:
    result = await client.call_tool(tool, arguments)
    assert result.is_error
    return text_of(result)


async def read_to_end(client: Client, process: str) -> tuple[str, dict[str, Any]]:
    output, position = "", 0
    while True:
        read = await call(client, "process_read", id=process, position=position, wait_seconds=10)
        output += read["output"]
        position = read["next_position"]
        if not read["running"] and position == read["output_bytes"]:
            return output, read


async def test_a_command_is_run_in_the_workspace(client: Client, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    result = await call(client, "run", command="pwd; cat; echo oh >&2; exit 4", stdin="in\n", cwd="sub")
    assert (result["stdout"], result["stderr"], result["exit_code"]) == (f"{tmp_path}/sub\nin\n", "oh\n", 4)


async def test_a_command_that_takes_too_long_is_killed(client: Client) -> None:
    result = await call(client, "run", command="echo begun; sleep 1000", timeout_seconds=0.3)
    assert (result["ended_by"], result["stdout"]) == ("timeout", "begun\n")


async def test_a_process_goes_on_between_calls(client: Client) -> None:
    started = await call(client, "process_start", command="while read line; do echo got $line; done; echo end; exit 5")
    assert started["running"] is True
    await call(client, "process_write", id=started["id"], text="one\n")
    first = await call(client, "process_read", id=started["id"], wait_seconds=10)
    assert first["output"] == "got one\n"
    await call(client, "process_write", id=started["id"], text="two\n", close=True)
    output, last = await read_to_end(client, started["id"])
    assert output == "got one\ngot two\nend\n"
    assert (last["running"], last["exit_code"], last["signal"]) == (False, 5, None)
    assert [process["id"] for process in (await call(client, "process_list"))["processes"]] == [started["id"]]


async def test_reading_goes_on_from_a_position(client: Client) -> None:
    started = await call(client, "process_start", command="seq 1 1000")
    output, last = await read_to_end(client, started["id"])
    assert output == "".join(f"{number}\n" for number in range(1, 1001))
    part = await call(client, "process_read", id=started["id"], position=2, max_bytes=4)
    assert (part["output"], part["next_position"]) == ("2\n3\n", 6)
    past = await call(client, "process_read", id=started["id"], position=10**9)
    assert (past["output"], past["position"]) == ("", last["output_bytes"])


async def test_old_output_of_a_long_process_is_dropped_and_that_is_said(client: Client) -> None:
    started = await call(client, "process_start", command="head -c 3000000 /dev/zero | tr '\\0' x; echo end")
    while (await call(client, "process_read", id=started["id"], position=10**9, wait_seconds=10))["running"]:
        pass
    read = await call(client, "process_read", id=started["id"], max_bytes=1_000_000)
    assert read["skipped_bytes"] == 3_000_004 - 2**20
    assert read["output"].startswith("xxx")


async def test_characters_are_never_torn_by_a_read(client: Client) -> None:
    started = await call(client, "process_start", command="printf 'äöü€'")
    output, position = "", 0
    await read_to_end(client, started["id"])
    while position < 9:
        read = await call(client, "process_read", id=started["id"], position=position, max_bytes=4)
        output += read["output"]
        position = read["next_position"]
    assert output == "äöü€"


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGKILL"])
async def test_a_signal_ends_a_process_and_its_children(client: Client, tmp_path: Path, name: str) -> None:
    command = "sleep 1000 & echo $! > pid; echo ready; wait"
    command = f"trap 'exit 9' INT; {command}" if name == "SIGINT" else command
    started = await call(client, "process_start", command=command)
    await call(client, "process_read", id=started["id"], wait_seconds=10)
    await call(client, "process_signal", id=started["id"], signal=name)
    _, last = await read_to_end(client, started["id"])
    assert last["exit_code"] == 9 if name == "SIGINT" else last["signal"] == name
    assert not is_alive(read_if_there(tmp_path / "pid"))


async def test_a_signal_to_a_process_that_has_ended_says_so(client: Client) -> None:
    started = await call(client, "process_start", command="true")
    await read_to_end(client, started["id"])
    result = await client.call_tool("process_signal", {"id": started["id"]})
    assert "has ended" in text_of(result)


async def test_writing_to_what_does_not_read_is_told(client: Client) -> None:
    started = await call(client, "process_start", command="exec <&-; echo closed; sleep 1000")
    await call(client, "process_read", id=started["id"], wait_seconds=10)
    assert "does not read" in await refusal(client, "process_write", id=started["id"], text="x")
    await call(client, "process_signal", id=started["id"], signal="SIGKILL")


async def test_an_unknown_process_is_refused_with_the_known_ones(client: Client) -> None:
    await call(client, "process_start", command="true")
    assert "there are: p1" in await refusal(client, "process_read", id="p9")


async def test_no_more_than_eight_run_at_once(client: Client) -> None:
    for _ in range(8):
        await call(client, "process_start", command="sleep 1000")
    assert "end one with process_signal" in await refusal(client, "process_start", command="true")
    await call(client, "process_signal", id="p3", signal="SIGKILL")
    await call(client, "process_start", command="true")


async def test_waiting_reads_do_not_hold_up_other_calls(client: Client) -> None:
    started = await call(client, "process_start", command="read x; echo $x")
    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(lambda: call(client, "process_read", id=started["id"], wait_seconds=30))
        assert (await call(client, "run", command="echo hi"))["stdout"] == "hi\n"
        await call(client, "process_write", id=started["id"], text="go\n")
