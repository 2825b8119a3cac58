from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import anyio
import pytest

from muxi_runtime.errors import SetupError
from muxi_runtime.setup.background import Background, log_tail
from muxi_runtime.setup.engine import EngineStep
from muxi_runtime.setup.ping import Answer, ping
from muxi_runtime.setup.port import check_port_is_free
from muxi_runtime.setup.step import Finished, Report, Step, run_steps
from muxi_sandbox.errors import ImageBuildError


class Heard:
    def __init__(self) -> None:
        self.said: list[str] = []

    def started(self, step: Step) -> None:
        self.said.append(f"start {step.name}")

    def line(self, step: Step, text: str) -> None:
        self.said.append(f"{step.name}: {text}")

    def finished(self, step: Step, done: Finished) -> None:
        self.said.append(f"done {step.name} {done.detail}")


async def works(report: Report) -> str:
    report("halfway")
    return "fine"


async def fails(_report: Report) -> str:
    raise ImageBuildError("no space left")


async def test_steps_run_in_order_and_tell_of_their_progress():
    heard = Heard()
    done = await run_steps([Step("one", "doing one", works), Step("two", "doing two", works)], heard)
    assert [(finished.name, finished.detail) for finished in done] == [("one", "fine"), ("two", "fine")]
    assert heard.said == ["start one", "one: halfway", "done one fine", "start two", "two: halfway", "done two fine"]


async def test_the_first_failure_ends_it_and_names_its_step():
    heard = Heard()
    with pytest.raises(SetupError, match="no space left") as caught:
        await run_steps([Step("images", "", fails), Step("never", "", works)], heard)
    assert caught.value.step == "images"
    assert heard.said == ["start images"]


def test_a_taken_port_is_named_with_its_cure():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SetupError, match=f"Port {port} on 127.0.0.1 is taken") as caught:
            check_port_is_free("127.0.0.1", port)
    assert "muxi-runtime status" in caught.value.remedy
    assert "gateway.port" in caught.value.remedy


def test_a_free_port_passes():
    check_port_is_free("127.0.0.1", 0)


def test_an_address_of_another_machine_is_a_clear_error():
    with pytest.raises(SetupError, match=r"cannot listen on 192\.0\.2\.1:7890"):
        check_port_is_free("192.0.2.1", 7890)


async def answer_once(path: Path, reply: bytes) -> Answer:
    """What `ping` makes of a server that says just this."""
    answers: list[Answer] = []
    async with await anyio.create_unix_listener(path) as listener, anyio.create_task_group() as group:

        async def ask() -> None:
            answers.append(await ping(path))
            group.cancel_scope.cancel()

        async def reply_to(stream: anyio.abc.SocketStream) -> None:
            async with stream:
                await stream.receive()
                await stream.send(reply)

        group.start_soon(ask)
        await listener.serve(reply_to)
    return answers[0]


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\nOK", Answer.OK),
        (b"HTTP/1.1 500 Internal Server Error\r\n\r\n", Answer.BROKEN),
        (b"220 mail.example ESMTP\r\n", Answer.BROKEN),
        (b"no line at all", Answer.BROKEN),
    ],
)
async def test_an_engine_is_told_from_what_is_none(tmp_path: Path, reply: bytes, expected: Answer):
    assert await answer_once(tmp_path / "s", reply) is expected


async def test_no_socket_and_a_dead_one_count_as_absent(tmp_path: Path):
    path = tmp_path / "s"
    assert await ping(path) is Answer.ABSENT
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    assert await ping(path) is Answer.ABSENT


async def test_a_socket_that_one_may_not_use_is_told_with_the_group_to_join(tmp_path: Path):
    path = tmp_path / "s"
    me = os.geteuid()
    async with await anyio.create_unix_listener(path, mode=0o000):
        if me == 0:
            os.seteuid(65534)
        try:
            with pytest.raises(SetupError, match="You may not use") as caught:
                await EngineStep(path, tmp_path).run(lambda _line: None)
        finally:
            os.seteuid(me)
    assert "usermod -aG docker" in caught.value.remedy


async def test_an_absent_engine_of_ones_own_socket_is_never_installed(tmp_path: Path):
    step = EngineStep(tmp_path / "s", tmp_path, may_install=True)
    with pytest.raises(SetupError, match="No container engine answers") as caught:
        await step.run(lambda _line: None)
    assert caught.value.step == "engine"
    assert "engine.socket" in caught.value.remedy


async def test_a_daemon_that_ends_at_once_is_told_with_its_log(tmp_path: Path):
    (tmp_path / "logs").mkdir()
    step = EngineStep(tmp_path / "s", tmp_path)
    command = [sys.executable, "-c", "import sys; print('cannot set up iptables'); sys.exit(3)"]
    with pytest.raises(SetupError, match=r"(?s)ended with code 3.*cannot set up iptables"):
        await step.start_by_hand(command)


def test_a_background_process_has_a_session_of_its_own(tmp_path: Path):
    log = tmp_path / "log"
    process = Background.start([sys.executable, "-c", "import os; print(os.getsid(0) == os.getpid())"], log)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert log_tail(log) == "  True"
    assert process.exit_code() == 0


def test_the_tail_of_a_log_is_its_last_lines(tmp_path: Path):
    log = tmp_path / "log"
    assert log_tail(log) == "  (nothing)"
    log.write_text("".join(f"line {number}\n" for number in range(5000)))
    assert log_tail(log).splitlines()[-1] == "  line 4999"
    assert len(log_tail(log).splitlines()) == 15
