"""The load that gateways are measured under, against servers whose behaviour is known."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import anyio
import pytest
from tests.benchmarks.endpoints import Endpoint, open_asks
from tests.benchmarks.load import connect, full_load, one_at_a_time, paced_load
from tests.benchmarks.peers.places import HERE, version_in

RESULT = b'{"result":{"content":[]}}'
WITH_LENGTH = b"HTTP/1.1 200 OK\r\nContent-Length: 25\r\n\r\n" + RESULT
IN_CHUNKS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n19\r\n" + RESULT + b"\r\n0\r\n\r\n"


@asynccontextmanager
async def served(*pieces: bytes, wait: float = 0) -> AsyncIterator[int]:
    """Answers whatever comes with these pieces, one after the other; the port."""

    writers: list[asyncio.StreamWriter] = []

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        while await reader.read(2**16):
            await asyncio.sleep(wait)
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0)

    server = await asyncio.start_server(respond, "127.0.0.1", 0)
    async with server:
        yield int(server.sockets[0].getsockname()[1])
    for writer in writers:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


@pytest.mark.parametrize("answer", [WITH_LENGTH, IN_CHUNKS])
@pytest.mark.parametrize("cut", [1, 20, 40, 60])
async def test_an_answer_is_given_out_when_it_is_whole(answer: bytes, cut: int) -> None:
    async with served(answer[:cut], answer[cut:]) as port:
        connection = await connect("127.0.0.1", port)
        with anyio.fail_after(10):
            assert await connection.send(b"x") == answer
            assert await connection.send(b"x") == answer
        connection.close()


async def test_calls_of_all_connections_are_counted() -> None:
    async with (
        served(WITH_LENGTH) as port,
        open_asks(Endpoint(f"http://127.0.0.1:{port}/mcp", "echo", modern=True), 4) as asks,
    ):
        with anyio.fail_after(20):
            assert len((await one_at_a_time(asks[0], 10)).taken) == 10
            load = await full_load(asks, 0.1)
    assert len(load.taken) >= 4
    assert load.rate > 0


async def test_a_call_that_waits_for_a_connection_is_timed_from_when_it_was_due() -> None:
    async with (
        served(WITH_LENGTH, wait=0.05) as port,
        open_asks(Endpoint(f"http://127.0.0.1:{port}/mcp", "echo", modern=True), 1) as asks,
    ):
        with anyio.fail_after(20):
            load = await paced_load(asks, rate=100, seconds=0.1)
    assert len(load.taken) == 10
    assert load.taken[-1] > load.taken[0] + 100  # ms: nine calls of 50 ms before it, begun 10 ms apart


async def test_an_answer_without_a_result_ends_the_measurement() -> None:
    refused = b"HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\n{}"
    async with (
        served(refused) as port,
        open_asks(Endpoint(f"http://127.0.0.1:{port}/mcp", "echo", modern=True), 1) as asks,
    ):
        with pytest.raises(RuntimeError, match="no result"):
            await one_at_a_time(asks[0], 1)


@pytest.mark.parametrize("name", ["mcp-proxy", "fastmcp"])
def test_a_peer_is_installed_by_hash_from_no_host_in_particular(name: str) -> None:
    lock = (HERE / f"{name}.lock").read_text()
    requirements = [line for line in lock.splitlines() if "==" in line and not line.lstrip().startswith("#")]
    assert requirements
    assert lock.count("--hash=sha256:") >= len(requirements)
    assert "://" not in lock
    assert version_in(lock, name)[0].isdigit()
