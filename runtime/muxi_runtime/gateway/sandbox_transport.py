"""A sandbox's frames as a transport of the MCP SDK's client.

Above: `upstream`, which drives an `mcp.Client`. Below: `muxi_sandbox.contract.Sandbox`.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio
from mcp.shared.message import SessionMessage
from mcp_types import jsonrpc_message_adapter
from pydantic import ValidationError

from muxi_runtime.gateway.id_marks import IdMarks
from muxi_runtime.gateway.requests import Requests
from muxi_sandbox.errors import SandboxClosedError, SandboxError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
    from mcp.client._transport import TransportStreams

    from muxi_sandbox.contract import Sandbox

__all__ = ["SandboxTransport"]


class SandboxTransport:
    """Pumps frames both ways until either side ends.

    Attributes:
        requests: what goes out beside the SDK's client, over the same stream.
        failure: why the sandbox can no longer be used, once that is so. The SDK reports a closed connection whatever
            the cause; this is the cause.
        ended: set together with `failure`.
    """

    def __init__(self, sandbox: Sandbox, *, mark: str = "") -> None:
        """With a `mark`, ids of requests carry it on the wire, and answers without it are not for this session."""
        self._sandbox = sandbox
        self._marks = IdMarks(mark) if mark else None
        self.requests = Requests(sandbox, mark)
        self.failure: SandboxError | None = None
        self.ended = anyio.Event()

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[TransportStreams]:
        """The streams that `mcp.Client` takes, for the block."""
        to_client, from_sandbox = anyio.create_memory_object_stream[SessionMessage | Exception](0)
        to_sandbox, from_client = anyio.create_memory_object_stream[SessionMessage](0)
        self._sandbox.offer_first(self.requests.take)
        async with anyio.create_task_group() as pumps:
            pumps.start_soon(self._read, to_client)
            pumps.start_soon(self._write, from_client)
            try:
                yield from_sandbox, to_sandbox
            finally:
                pumps.cancel_scope.cancel()
                self._sandbox.offer_first(None)
                self.requests.fail(
                    SandboxClosedError("The sandbox was closed before it answered.", sandbox=self._sandbox.id)
                )
                for stream in (to_client, from_sandbox, to_sandbox, from_client):
                    stream.close()

    async def _read(self, to_client: MemoryObjectSendStream[SessionMessage | Exception]) -> None:
        async with to_client:
            while True:
                try:
                    frame = await self._sandbox.receive()
                except SandboxError as error:
                    self._fail(error)
                    return
                if self.requests.take(frame):
                    continue
                message = _decode(frame)
                if self._marks is not None and not self._marks.take_off(message):
                    continue
                try:
                    await to_client.send(message)
                except (anyio.BrokenResourceError, anyio.ClosedResourceError):
                    return

    async def _write(self, from_client: MemoryObjectReceiveStream[SessionMessage]) -> None:
        async with from_client:
            async for item in from_client:
                message = item.message if self._marks is None else self._marks.put_on(item.message)
                frame = message.model_dump_json(by_alias=True, exclude_unset=True).encode()
                try:
                    await self._sandbox.send(frame)
                except SandboxError as error:
                    self._fail(error)
                    return

    def _fail(self, error: SandboxError) -> None:
        if self.failure is None:
            self.failure = error
            self.ended.set()
            self.requests.fail(error)


def _decode(frame: bytes) -> SessionMessage | Exception:
    """A message, or what is wrong with the line: the SDK reports it and reads on."""
    try:
        return SessionMessage(jsonrpc_message_adapter.validate_json(frame, by_name=False))
    except ValidationError as error:
        return error
