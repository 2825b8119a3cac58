"""The guest: a program of few operations, one JSON object a line, that the checks run in a sandbox.

Standard library only, and no imports of this project: its text alone is given to the sandbox's Python.
"""

# ruff: noqa: D103  # the name of an operation is its documentation

from __future__ import annotations

import contextlib
import errno
import json
import os
import select
import signal
import socket
import sys
import time
from pathlib import Path

WORKSPACE = Path("/workspace")
BLOCK = 64 * 1024
STALL_SECONDS = 1.0


def write(data: bytes, to: int = 1) -> None:
    while data:
        data = data[os.write(to, data) :]


def answer(value: object) -> None:
    write(json.dumps(value).encode() + b"\n")


def error_name(error: OSError) -> str:
    return errno.errorcode.get(error.errno or 0, "?")


def op_echo(text: str) -> None:
    answer(text)


def op_big(size: int) -> None:
    write(b"x" * size + b"\n")


def op_split(text: str) -> None:
    """Each byte in a write of its own: a reader sees halves of characters."""
    for byte in json.dumps(text, ensure_ascii=False).encode() + b"\n":
        write(bytes([byte]))


def op_blanks() -> None:
    write(b'\n\n"between"\n\n\n')


def op_complain(text: str, size: int) -> None:
    """`size` bytes of noise, then the text, on standard error; both are there before the answer."""
    write(b"n" * size + text.encode(), to=2)
    answer("complained")


def op_exit(code: int, words: str) -> None:
    write(words.encode(), to=2)
    raise SystemExit(code)


def op_endless_line() -> None:
    while True:
        write(b"x" * BLOCK)


def op_endless_frames() -> None:
    while True:
        write(b"x" * BLOCK + b"\n")


def op_endless_stderr() -> None:
    while True:
        write(b"x" * BLOCK, to=2)


def op_allocate() -> None:
    held = []
    while True:
        held.append(bytearray(os.urandom(1024)) * 4096)


def op_write(name: str, text: str) -> None:
    (WORKSPACE / name).write_text(text)
    answer("written")


def op_read(name: str) -> None:
    answer((WORKSPACE / name).read_text())


def op_names() -> None:
    answer(sorted(path.name for path in WORKSPACE.iterdir()))


def op_fill(mib: int) -> None:
    with (WORKSPACE / "big").open("wb") as file:
        for _ in range(mib):
            file.write(bytes(2**20))
    answer("filled")


def op_many(count: int) -> None:
    for number in range(count):
        (WORKSPACE / f"file-{number}").touch()
    answer("made")


def op_pour() -> None:
    """Numbered frames until nobody reads; how many is left in the workspace, then the rest is written."""
    os.set_blocking(1, False)
    number, data = 0, b""
    while True:
        data = data or b"%d %s\n" % (number, b"x" * BLOCK)
        if not select.select([], [1], [], STALL_SECONDS)[1]:
            break
        data = data[os.write(1, data) :]
        number += not data
    (WORKSPACE / "part").write_text(str(number))
    (WORKSPACE / "part").rename(WORKSPACE / "stalled")
    os.set_blocking(1, True)
    write(data)
    answer("poured")


def op_wait_for(name: str) -> None:
    """Answer when the file is there; reads nothing until then."""
    while not (WORKSPACE / name).exists():
        time.sleep(0.01)
    answer("there")


def op_environment(name: str) -> None:
    answer(os.environ.get(name))


def op_linger() -> None:
    """Children that left the session, hold standard output, and ignore what can be ignored."""
    if os.fork() == 0:
        os.setsid()
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGPIPE):
            signal.signal(number, signal.SIG_IGN)
        os.fork()
        while True:
            time.sleep(60)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    answer("lingering")


def op_connect(host: str, port: int) -> None:
    with socket.create_connection((host, port), timeout=5):
        answer("connected")


def op_sleep() -> None:
    while True:
        time.sleep(60)


def serve() -> None:
    operations = {name[3:]: value for name, value in globals().items() if name.startswith("op_")}
    for line in sys.stdin.buffer:
        request = json.loads(line)
        do = request.pop("do")
        try:
            operations[do](**request)
        except OSError as error:
            answer({"error": error_name(error)})


with contextlib.suppress(BrokenPipeError):
    serve()
