"""What a server may write while a call is under way: nothing of it ends more than its own sandbox."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

import anyio
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from muxi_runtime.gateway.caller import ASKABLE
from muxi_runtime.gateway.direct_calls import PlainCaller
from muxi_runtime.gateway.requests import FIRST_ID, NOTES
from muxi_runtime.gateway.sandbox_transport import SandboxTransport
from muxi_runtime.identity.principal import Principal
from muxi_sandbox.contract import Spec
from muxi_sandbox.docker.attach import Attachment
from muxi_sandbox.docker.engine import ContainerState, Engine
from muxi_sandbox.docker.sandbox import ContainerSandbox
from muxi_sandbox.docker.settings import EngineSettings
from muxi_sandbox.docker.watch import EngineWatch
from muxi_sandbox.errors import SandboxDiedError, SandboxError

pytestmark = pytest.mark.promise("bad-input-is-bounded")

STDOUT, STDERR = 1, 2
LONG = 60
METHODS = [*ASKABLE, *NOTES, "notifications/progress", "notifications/cancelled", "tools/list", "ping"]
IDS = [True, None, 0, 1e9, -1, FIRST_ID + 1, 2**70, "", "m-", "m-\u00b2", "m-" + "9" * 5000, str(FIRST_ID)]
ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(IDS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
PARAMS = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(("requestId", "total", "message", "level", "data", "_meta"), ANY)
    | {"progressToken": ANY | st.sampled_from([FIRST_ID, f"m-{FIRST_ID}"]), "progress": ANY},
)
ERROR = st.fixed_dictionaries({}, optional={"code": ANY, "message": ANY, "data": ANY})
MESSAGE = st.fixed_dictionaries(
    {},
    optional={
        "jsonrpc": st.just("2.0") | ANY,
        "id": ANY,
        "method": st.sampled_from(METHODS) | ANY,
        "params": PARAMS | ANY,
        "result": ANY,
        "error": ERROR | ANY,
    },
)


def is_answer(message: object) -> bool:
    """To the call that is under way."""
    return isinstance(message, dict) and "method" not in message and message.get("id") in (FIRST_ID, f"m-{FIRST_ID}")


FRAME = (MESSAGE | ANY).filter(lambda message: not is_answer(message)).map(lambda message: json.dumps(message).encode())
RAW = st.binary(max_size=20).map(lambda raw: raw.replace(b"\n", b""))


def piece(data: bytes, output: int = STDOUT) -> bytes:
    return bytes([output, 0, 0, 0]) + len(data).to_bytes(4, "big") + data


class Obliging(PlainCaller):
    """A client that wants to hear everything, and answers whatever is asked."""

    wants_progress = True
    capabilities = MappingProxyType({kind: {} for kind in ASKABLE.values()})

    async def answers(self, requests: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any]:
        """An empty one to each."""
        return {key: {} for key in requests}


class Kills:
    """An engine of which nothing is wanted but that it kills."""

    def __init__(self) -> None:
        self.killed: list[str] = []

    async def kill(self, container: str) -> None:
        self.killed.append(container)

    async def answers(self, seconds: float) -> bool:
        del seconds
        return True

    async def state(self, container: str) -> ContainerState:
        return ContainerState(is_running=container not in self.killed, exit_code=None, out_of_memory=False)


@asynccontextmanager
async def sandbox(name: str, engine: Kills) -> AsyncIterator[tuple[ContainerSandbox, socket.socket]]:
    """One that is not read yet, and its program's end."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(0)
        attachment = Attachment(ours, b"")
        made = ContainerSandbox(
            name,
            Spec(task="t", server="demo", image="demo", command=("demo",)),
            attachment,
            engine=cast("Engine", engine),
            watch=EngineWatch(Path("/nonexistent"), lambda: None),
            settings=EngineSettings(),
            workspace=lambda _: None,
        )
        yield made, theirs


async def talk(frames: list[bytes], how: str, mark: str) -> dict[str, Any]:
    """What a call ends with if a server writes `frames` before its answer."""
    answered: list[dict[str, Any]] = []
    own: Any = f"{mark}-{FIRST_ID}" if mark else FIRST_ID
    answer = json.dumps({"jsonrpc": "2.0", "id": own, "result": {"good": True}}).encode()
    async with sandbox("c" * 64, Kills()) as (made, theirs), anyio.create_task_group() as backend:
        backend.start_soon(made.pump, lambda: None)
        transport = SandboxTransport(made.stream, mark=mark)
        async with transport.connect() as (incoming, _), anyio.create_task_group() as group:

            async def drain() -> None:
                async for _ in incoming:
                    pass

            async def call() -> None:
                caller = Obliging(Principal())
                answered.append(await transport.requests.ask("tools/call", {}, seconds=LONG, caller=caller))
                group.cancel_scope.cancel()

            group.start_soon(drain)
            group.start_soon(call)
            await anyio.wait_all_tasks_blocked()
            for frame in [*frames, answer]:
                sent = piece(frame + b"\n")
                if how == "behind a complaint":
                    sent = piece(b"oh", STDERR) + sent
                if how == "split":
                    theirs.sendall(sent[:11])
                    await anyio.wait_all_tasks_blocked()
                    sent = sent[11:]
                theirs.sendall(sent)
        theirs.close()
        await made.close()
    return answered[0]


@settings(max_examples=60, deadline=None)
@given(
    frames=st.lists(FRAME | RAW, min_size=1, max_size=4),
    how=st.sampled_from(["whole", "split", "behind a complaint"]),
    mark=st.sampled_from(["", "m"]),
)
@example([b'{"jsonrpc":"2.0","method":[]}'], "whole", "")
@example([b'{"jsonrpc":"2.0","method":[]}'], "split", "")
@example([b'{"jsonrpc":"2.0","method":{}}'], "behind a complaint", "m")
@example([b'{"jsonrpc":"2.0","id":"m-\xc2\xb2","result":{}}'], "whole", "m")
@example([b'{"jsonrpc":"2.0","id":"m-%b","result":{}}' % (b"9" * 5000)], "whole", "m")
@example([b'{"jsonrpc":"2.0","id":1,"method":"elicitation/create","params":[]}'], "whole", "")
def test_no_frame_of_a_server_keeps_a_good_answer_from_arriving(frames: list[bytes], how: str, mark: str) -> None:
    async def bounded() -> dict[str, Any]:
        with anyio.fail_after(LONG):
            return await talk(frames, how, mark)

    assert anyio.run(bounded) == {"good": True}


@pytest.mark.parametrize("progress", [b"1e999", b"NaN", b"9" * 400])
async def test_progress_that_is_no_number_of_mcp_is_not_told(progress: bytes) -> None:
    token = b'{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":%d,"progress":%b}}'
    heard: list[float] = []

    class Hears(Obliging):
        async def progress(self, progress: float, total: float | None, message: str | None) -> None:
            del total, message
            heard.append(progress)

    with anyio.fail_after(LONG):
        async with sandbox("c" * 64, Kills()) as (made, theirs), anyio.create_task_group() as group:
            group.start_soon(made.pump, lambda: None)
            transport = SandboxTransport(made.stream)
            made.stream.offer_first(transport.requests.take)

            async def call() -> None:
                await transport.requests.ask("tools/call", {}, seconds=LONG, caller=Hears(Principal()))

            async with anyio.create_task_group() as calls:
                calls.start_soon(call)
                await anyio.wait_all_tasks_blocked()
                theirs.sendall(piece(token % (FIRST_ID, progress) + b"\n" + token % (FIRST_ID, b"1") + b"\n"))
                theirs.sendall(piece(b'{"jsonrpc":"2.0","id":%d,"result":{}}\n' % FIRST_ID))
            await made.close()
    assert heard == [1]


def fails(_: bytes) -> bool:
    raise RuntimeError("a fault of ours")


@pytest.mark.parametrize("split", [False, True])
async def test_a_fault_in_reading_one_sandbox_ends_that_one_alone(*, split: bool) -> None:
    engine = Kills()
    heard: list[bytes] = []
    with anyio.fail_after(LONG):
        async with (
            sandbox("bad", engine) as (bad, its_end),
            sandbox("good", engine) as (good, other_end),
            anyio.create_task_group() as backend,
        ):
            bad.stream.offer_first(fails)
            for made in (bad, good):
                backend.start_soon(made.pump, lambda: None)
            await anyio.wait_all_tasks_blocked()
            sent = piece(b"{}\n")
            its_end.sendall(sent[:9] if split else sent)
            if split:
                await anyio.wait_all_tasks_blocked()
                its_end.sendall(sent[9:])
            with pytest.raises(SandboxDiedError):
                await bad.stream.receive()
            with pytest.raises(SandboxError):
                await bad.stream.send(b"{}")
            other_end.sendall(piece(b"[]\n"))
            heard.append(await good.stream.receive())
            for made in (bad, good):
                await made.close()
    assert (engine.killed, heard) == (["bad"], [b"[]"])
