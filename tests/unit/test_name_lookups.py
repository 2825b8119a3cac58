"""The system's resolver under many questions at once."""

from __future__ import annotations

import socket
import threading

import anyio
import pytest

from muxi_sandbox.egress.addresses import SystemResolver

pytestmark = pytest.mark.anyio


class SlowLookUp:
    """Answers when it is let go on."""

    def __init__(self, answer: list[str] | OSError) -> None:
        self.answer = answer
        self.asked = 0
        self.go_on = threading.Event()

    def __call__(self, _host: str) -> list[str]:
        self.asked += 1
        self.go_on.wait(10)
        if isinstance(self.answer, OSError):
            raise self.answer
        return self.answer


async def test_a_name_that_many_ask_for_at_once_is_looked_up_once() -> None:
    look_up = SlowLookUp(["192.0.2.1", "192.0.2.1"])
    resolver = SystemResolver(look_up)
    found: list[list[str]] = []

    async def ask() -> None:
        found.append(list(await resolver.resolve("packages.test")))

    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            for _ in range(50):
                group.start_soon(ask)
            await anyio.wait_all_tasks_blocked()
            look_up.go_on.set()
    assert found == [["192.0.2.1"]] * 50
    assert look_up.asked == 1


async def test_nothing_is_remembered_once_it_is_answered() -> None:
    look_up = SlowLookUp(["192.0.2.1"])
    look_up.go_on.set()
    resolver = SystemResolver(look_up)
    await resolver.resolve("packages.test")
    look_up.answer = ["192.0.2.2"]
    assert await resolver.resolve("packages.test") == ["192.0.2.2"]


async def test_those_who_wait_hear_of_the_failure() -> None:
    look_up = SlowLookUp(socket.gaierror(socket.EAI_NONAME, "Name or service not known"))
    resolver = SystemResolver(look_up)
    failures: list[str] = []

    async def ask() -> None:
        try:
            await resolver.resolve("nowhere.test")
        except OSError as error:
            failures.append(str(error))

    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            group.start_soon(ask)
            group.start_soon(ask)
            await anyio.wait_all_tasks_blocked()
            look_up.go_on.set()
    assert len(failures) == 2
    assert look_up.asked == 1


async def test_one_that_gives_up_leaves_the_question_to_the_next() -> None:
    look_up = SlowLookUp(["192.0.2.1"])
    resolver = SystemResolver(look_up)
    found: list[str] = []

    async def wait() -> None:
        found.extend(await resolver.resolve("packages.test"))

    with anyio.fail_after(10):
        async with anyio.create_task_group() as group, anyio.create_task_group() as impatient:
            impatient.start_soon(resolver.resolve, "packages.test")
            await anyio.wait_all_tasks_blocked()
            group.start_soon(wait)
            await anyio.wait_all_tasks_blocked()
            impatient.cancel_scope.cancel()
            look_up.go_on.set()
    assert found == ["192.0.2.1"]
