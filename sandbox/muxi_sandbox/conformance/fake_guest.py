"""The guest's operations as a program of the in-memory backend."""

# the name of an operation is its documentation

from __future__ import annotations

import errno
import json
from typing import TYPE_CHECKING, Any

import anyio

from muxi_sandbox.fake_process import NoSuchCommandError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from muxi_sandbox.fake_process import FakeProcess
    from muxi_sandbox.fake_workspace import FakeFiles

__all__ = ["fake_guest"]

BLOCK = 64 * 1024
MIB = 2**20


class _ExitError(Exception):
    """Carries the exit code out."""


async def fake_guest(process: FakeProcess) -> int:
    """Serve operations until one of them ends it."""
    if process.command != ("guest",):
        raise NoSuchCommandError(process.command[0])
    while True:
        request = json.loads(await process.receive())
        try:
            await OPERATIONS[request.pop("do")](process, **request)
        except OSError as error:
            await answer(process, {"error": errno.errorcode[error.errno or 0]})
        except _ExitError as end:
            return int(end.args[0])


async def answer(process: FakeProcess, value: object) -> None:
    await process.send(json.dumps(value).encode())


def files(process: FakeProcess) -> FakeFiles:
    if process.files is None:
        raise FileNotFoundError(errno.ENOENT, "no workspace")
    return process.files


async def echo(process: FakeProcess, text: str) -> None:
    await answer(process, text)


async def big(process: FakeProcess, size: int) -> None:
    await process.send(b"x" * size)


async def split(process: FakeProcess, text: str) -> None:
    for byte in json.dumps(text, ensure_ascii=False).encode() + b"\n":
        await process.write(bytes([byte]))


async def blanks(process: FakeProcess) -> None:
    await process.write(b'\n\n"between"\n\n\n')


async def complain(process: FakeProcess, text: str, size: int) -> None:
    await process.complain(b"n" * size + text.encode())
    await answer(process, "complained")


async def leave(process: FakeProcess, code: int, words: str) -> None:
    await process.complain(words.encode())
    raise _ExitError(code)


async def endless_line(process: FakeProcess) -> None:
    while True:
        await process.write(b"x" * BLOCK)


async def endless_frames(process: FakeProcess) -> None:
    while True:
        await process.send(b"x" * BLOCK)


async def endless_stderr(process: FakeProcess) -> None:
    while True:
        await process.complain(b"x" * BLOCK)


async def allocate(process: FakeProcess) -> None:
    while True:
        await anyio.lowlevel.checkpoint()
        process.allocate(4)


async def write(process: FakeProcess, name: str, text: str) -> None:
    files(process).write(name, text.encode())
    await answer(process, "written")


async def read(process: FakeProcess, name: str) -> None:
    await answer(process, files(process).read(name).decode())


async def names(process: FakeProcess) -> None:
    await answer(process, files(process).names())


async def fill(process: FakeProcess, mib: int) -> None:
    for size in range(mib):
        files(process).write("big", bytes((size + 1) * MIB))
    await answer(process, "filled")


async def many(process: FakeProcess, count: int) -> None:
    for number in range(count):
        files(process).write(f"file-{number}", b"")
    await answer(process, "made")


async def pour(process: FakeProcess) -> None:
    number = 0
    while True:
        frame = b"%d %s" % (number, b"x" * BLOCK)
        with anyio.move_on_after(0.1) as scope:
            await process.send(frame)
        if scope.cancelled_caught:
            break
        number += 1
    files(process).write("stalled", str(number).encode())
    await process.send(frame)
    await answer(process, "poured")


async def wait_for(process: FakeProcess, name: str) -> None:
    while name not in files(process).names():  # noqa: ASYNC110  # another program writes it, and a folder has no events
        await anyio.sleep(0.01)
    await answer(process, "there")


async def environment(process: FakeProcess, name: str) -> None:
    await answer(process, process.environment.get(name))


async def linger(process: FakeProcess) -> None:
    await answer(process, "lingering")


async def connect(_: FakeProcess, host: str, port: int) -> None:
    raise OSError(errno.ENETUNREACH, f"no network to reach {host}:{port} by")


async def sleep(_: FakeProcess) -> None:
    await anyio.sleep_forever()


OPERATIONS: dict[str, Callable[..., Awaitable[Any]]] = {
    function.__name__: function
    for function in (
        echo,
        big,
        split,
        blanks,
        complain,
        endless_line,
        endless_frames,
        endless_stderr,
        allocate,
        write,
        read,
        names,
        fill,
        many,
        pour,
        wait_for,
        environment,
        linger,
        connect,
        sleep,
    )
} | {"exit": leave}
