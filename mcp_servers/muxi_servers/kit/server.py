"""The MCP server: reads messages, answers them, and runs tools on worker threads."""

from __future__ import annotations

import sys
from threading import Lock

from muxi_servers.kit.call import Call
from muxi_servers.kit.codec import decode, encode
from muxi_servers.kit.content import ToolResult, text
from muxi_servers.kit.errors import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    INVALID_REQUEST,
    PARSE_ERROR,
    FrameError,
    ProtocolError,
    ToolError,
)
from muxi_servers.kit.frames import MAX_FRAME_BYTES, FrameReader, FrameWriter
from muxi_servers.kit.protocol import Connection, Request, parse_message, progress_token
from muxi_servers.kit.tools import Registry
from muxi_servers.kit.workers import Workers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from muxi_servers.kit.tools import Tool

__all__ = ["Server"]


class Server:
    """One connection. `serve` returns when standard input ends."""

    def __init__(self, info: dict[str, Any], instructions: str, tools: list[Tool]) -> None:
        """`info` is MCP's Implementation object: name, title, version."""
        self._registry = Registry(tools)
        self._connection = Connection(info, instructions, frozenset({"tools/list", "tools/call"}))
        self._calls: dict[str | int, Call] = {}
        self._lock = Lock()

    def serve(self, source: int, sink: int, *, workers: Workers | None = None) -> None:
        """Read from one descriptor and answer on another until the end of input; then cancel what still runs."""
        reader = FrameReader(source)
        self._writer = FrameWriter(sink, Lock())
        self._workers = workers or Workers()
        while True:
            try:
                line = reader.read()
                if line is None:
                    break
                self._take(decode(line))
            except FrameError as error:
                self._send_error(None, ProtocolError(PARSE_ERROR, str(error)))
        for call in list(self._calls.values()):
            call.cancel()

    def _take(self, message: object) -> None:
        try:
            request = parse_message(message)
        except ProtocolError as error:
            self._send_error(_readable_id(message), error)
            return
        if request is None:
            return
        if request.id is None:
            self._take_notification(request)
            return
        if request.id in self._calls:
            # Answered without the id, which belongs to the call that is still running.
            self._send_error(None, ProtocolError(INVALID_REQUEST, f"id {str(request.id)[:60]!r} is still in use"))
            return
        try:
            self._connection.admit(request)
            self._answer(request)
        except ProtocolError as error:
            self._send_error(request.id, error)

    def _take_notification(self, request: Request) -> None:
        if request.method == "notifications/cancelled":
            target = request.params.get("requestId")
            call = self._calls.get(target) if isinstance(target, str | int) else None
            if call is not None:
                call.cancel()

    def _answer(self, request: Request) -> None:
        result = self._connection.answer_built_in(request)
        if result is None and request.method == "tools/list":
            if request.params.get("cursor") is not None:
                raise ProtocolError(INVALID_PARAMS, "the list of tools has one page only; leave out cursor")
            result = {"tools": self._registry.definitions()}
        if result is not None:
            self._send_result(request, result)
            return
        self._start_call(request)

    def _start_call(self, request: Request) -> None:
        name, arguments = request.params.get("name"), request.params.get("arguments")
        arguments = {} if arguments is None else arguments
        tool = self._registry.get(name) if isinstance(name, str) else None
        if tool is None:
            known = ", ".join(definition["name"] for definition in self._registry.definitions())
            raise ProtocolError(INVALID_PARAMS, f"unknown tool {str(name)[:100]!r}; there are: {known}")
        if not isinstance(arguments, dict):
            raise ProtocolError(INVALID_PARAMS, "arguments must be an object")
        call = Call(self._notify, progress_token(request.params))
        assert request.id is not None  # noqa: S101 - only requests get here  # nosec B101
        with self._lock:
            self._calls[request.id] = call

        def job() -> None:
            self._run(request, call, tool, arguments)

        if tool.quick:
            job()
        elif not self._workers.submit(job):
            self._forget(request)
            raise ProtocolError(INTERNAL_ERROR, "too many calls wait already; wait for some to end")

    def _run(self, request: Request, call: Call, tool: Tool, arguments: dict[str, Any]) -> None:
        error: ProtocolError | None = None
        result = ToolResult([])
        try:
            if not call.cancelled:
                result = tool.run(call, arguments)
        except ToolError as refusal:
            result = ToolResult([text(str(refusal))], is_error=True)
        except ProtocolError as broken:
            error = broken
        except Exception:  # noqa: BLE001 - the one boundary between a tool's fault and the wire: logged, masked
            _log_exception(f"tool {tool.name} failed")
            error = ProtocolError(INTERNAL_ERROR, f"tool {tool.name} failed inside the server; its log says why")
        wanted = call.finish()
        self._forget(request)
        if not wanted:
            return
        if error:
            self._send_error(request.id, error)
        else:
            self._send_result(request, result.to_wire())

    def _forget(self, request: Request) -> None:
        with self._lock:
            if request.id is not None:
                self._calls.pop(request.id, None)

    def _notify(self, method: str, params: dict[str, Any]) -> None:
        self._writer.write(encode({"jsonrpc": "2.0", "method": method, "params": params}))

    def _send_result(self, request: Request, result: dict[str, Any]) -> None:
        finished = self._connection.finish(request.method, result)
        try:
            frame = encode({"jsonrpc": "2.0", "id": request.id, "result": finished})
        except (TypeError, ValueError):
            _log_exception(f"the result of {request.method} is not JSON")
            self._send_error(request.id, ProtocolError(INTERNAL_ERROR, "the server made a result that is not JSON"))
            return
        if len(frame) > MAX_FRAME_BYTES:
            problem = f"the result has {len(frame)} bytes, more than a message may; ask for less"
            self._send_error(request.id, ProtocolError(INTERNAL_ERROR, problem))
            return
        self._writer.write(frame)

    def _send_error(self, request_id: str | int | None, error: ProtocolError) -> None:
        body: dict[str, Any] = {"code": error.code, "message": str(error)}
        if error.data is not None:
            body["data"] = error.data
        self._writer.write(encode({"jsonrpc": "2.0", "id": request_id, "error": body}))


def _readable_id(message: object) -> str | int | None:
    found = message.get("id") if isinstance(message, dict) else None
    return found if isinstance(found, str | int) and not isinstance(found, bool) else None


def _log_exception(headline: str) -> None:
    import traceback  # noqa: PLC0415 - 2 MiB that a server without faults never needs

    sys.stderr.write(f"{headline}\n{traceback.format_exc()}")
    sys.stderr.flush()
