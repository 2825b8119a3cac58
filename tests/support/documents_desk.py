"""The documents server in a sandbox, with the files server of the same task beside it."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from engine_state import installation
from mcp import Client
from servers_harness import as_leased, leased, text_of

from muxi_sandbox.docker.backend import DockerBackend
from muxi_sandbox.docker.settings import EngineSettings


class Desk:
    """Puts things into the workspace by the one, and asks the other."""

    def __init__(self, documents: Client, files: Client) -> None:
        self.documents = documents
        self.files = files

    async def put(self, path: str, data: str | bytes) -> None:
        """A file of the workspace."""
        content = data if isinstance(data, str) else base64.b64encode(data).decode()
        encoding = "text" if isinstance(data, str) else "base64"
        result = await self.files.call_tool("write", {"path": path, "content": content, "encoding": encoding})
        assert not result.is_error, result.content

    async def ask(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """What the tool finds."""
        result = await self.documents.call_tool(tool, arguments)
        assert not result.is_error, result.content
        assert result.structured_content
        return result.structured_content

    async def read(self, path: str, **more: Any) -> str:
        """The Markdown of a document."""
        return str((await self.ask("read", path=path, **more))["text"])

    async def refusal(self, tool: str, **arguments: Any) -> str:
        """Why the tool did not do it."""
        result = await self.documents.call_tool(tool, arguments)
        assert result.is_error, result.structured_content
        return text_of(result)


@asynccontextmanager
async def open_desk(engine_socket: Path, documents: str, files: str) -> AsyncIterator[Desk]:
    """Both servers, from these images, in sandboxes of one task."""
    async with (
        DockerBackend(EngineSettings(socket=engine_socket), installation("documents-tests")) as backend,
        leased(backend, as_leased("documents", documents, "desk")) as reader,
        leased(backend, as_leased("files", files, "desk")) as writer,
    ):
        yield Desk(reader, writer)
