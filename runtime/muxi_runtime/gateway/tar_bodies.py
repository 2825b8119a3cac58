"""Tars as bodies of requests and answers: through a file without a name on the runtime's disk, within bounds."""

from __future__ import annotations

import json
import tempfile
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from anyio import to_thread
from starlette.responses import StreamingResponse

from muxi_sandbox.workspaces.contract import ArchiveError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

    from muxi_sandbox.workspaces.contract import Bounds, Report

__all__ = ["REPORT_HEADER", "Spool", "TarResponse", "receive_tar", "report_of", "spool"]

REPORT_HEADER = "Muxi-Report"
"""JSON in ASCII: `report_of`, and `is_file`."""
TOLD = 10
TOLD_CHARACTERS = 200
PIECE = 2**18
MEMBER_BYTES = 4096
"""Of a tar, beside one member's content: its headers and padding."""


@dataclass(slots=True)
class Spool:
    """A file that is gone when it is closed."""

    stream: BinaryIO
    kept: bool = False

    def keep(self) -> BinaryIO:
        """Hand it over, at its start: whoever has it closes it."""
        self.kept = True
        self.stream.seek(0)
        return self.stream


@asynccontextmanager
async def spool(folder: Path) -> AsyncIterator[Spool]:
    """A place for one tar, closed with the block unless it was kept."""
    file = await to_thread.run_sync(lambda: tempfile.TemporaryFile(dir=folder))  # noqa: SIM115  # outlives the block
    spooled = Spool(cast("BinaryIO", file))
    try:
        yield spooled
    finally:
        if not spooled.kept:
            spooled.stream.close()


async def receive_tar(body: AsyncIterator[bytes], into: BinaryIO, bounds: Bounds) -> None:
    """Take a request's body, and leave the file at its start.

    Raises:
        ArchiveError: it is longer than any tar within the bounds.
    """
    most = bounds.bytes + bounds.entries * MEMBER_BYTES
    total = 0
    async for piece in body:
        total += len(piece)
        if total > most:
            raise ArchiveError(f"The tar is longer than {most} bytes, and was not taken.")
        await to_thread.run_sync(into.write, piece)
    into.seek(0)


def report_of(report: Report) -> dict[str, Any]:
    """As JSON values, short enough for a header."""
    told = [{"path": path[:TOLD_CHARACTERS], "why": why[:TOLD_CHARACTERS]} for path, why in report.told[:TOLD]]
    return {
        "files": report.files,
        "folders": report.folders,
        "bytes": report.bytes,
        "left_out": report.left_out,
        "told": told,
    }


class TarResponse(StreamingResponse):
    """A tar from an open file, which is closed whatever happens to the answer."""

    def __init__(self, stream: BinaryIO, facts: Mapping[str, Any]) -> None:
        self._stream = stream
        super().__init__(
            self._pieces(),
            media_type="application/x-tar",
            headers={REPORT_HEADER: json.dumps(facts, ensure_ascii=True)},
        )

    async def _pieces(self) -> AsyncIterator[bytes]:
        while piece := await to_thread.run_sync(self._stream.read, PIECE):
            yield piece

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401  # ASGI's
        """As Starlette does it."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._stream.close()
