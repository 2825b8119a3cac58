"""A client that does little beside sending bytes: what is timed is the runtime, not an SDK."""

from __future__ import annotations

from typing import Any

import httpx2

__all__ = ["HttpCalls"]

PROTOCOL = "2026-07-28"
META = {
    "io.modelcontextprotocol/protocolVersion": PROTOCOL,
    "io.modelcontextprotocol/clientInfo": {"name": "bench", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}


class HttpCalls:
    """Tool calls and questions to one running runtime."""

    def __init__(self, http: httpx2.AsyncClient, url: str) -> None:
        self._http = http
        self._url = url

    async def call(self, tool: str, arguments: dict[str, Any], task: str | None = None) -> dict[str, Any]:
        """One tool call; its result.

        Raises:
            RuntimeError: it failed.
        """
        headers = {
            "accept": "application/json, text/event-stream",
            "mcp-protocol-version": PROTOCOL,
            "mcp-method": "tools/call",
            "mcp-name": tool,
            **({"muxi-task": task} if task else {}),
        }
        params = {"name": tool, "arguments": arguments, "_meta": META}
        body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
        answer = await self._http.post(self._url, json=body, headers=headers)
        if answer.status_code != httpx2.codes.OK or '"isError":true' in answer.text:
            raise RuntimeError(f"{tool}: {answer.text[:500]}")
        result: dict[str, Any] = answer.json()["result"]
        return result

    async def new_task(self) -> str:
        """The id of a fresh task."""
        return str((await self.call("muxi__task_new", {}))["structuredContent"]["task"])

    async def end_task(self, task: str) -> None:
        """End it."""
        await self.call("muxi__task_end", {"task": task})

    async def ready(self, server: str) -> int:
        """How many sandboxes of the server the pool holds ready."""
        status = (await self._http.get(self._url.removesuffix("/mcp") + "/control/status")).json()
        return int(next(entry["ready"] for entry in status["pool"] if entry["server"] == server))
