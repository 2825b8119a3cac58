"""Tars as bodies of requests and answers: through a file without a name on the runtime's disk, within bounds."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from anyio import to_thread
from starlette.responses import StreamingResponse

from muxi_sandbox.workspaces.contract import ArchiveError, WorkspaceError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping
    from pathlib import Path

    from starlette.types import Receive, Scope, Send

    from muxi_sandbox.workspaces.contract import Bounds, Report

__all__ = ["REPORT_HEADER", "TarResponse", "Transfers", "receive_tar", "report_of"]

REPORT_HEADER = "Muxi-Report"
"""JSON in ASCII: `report_of`, and `is_file`."""
TRANSFERS = 4
"""Of one principal at once."""
TOLD = 10
TOLD_CHARACTERS = 200
PIECE = 2**18
MEMBER_BYTES = 4096
"""Of a tar, beside one member's content: its headers and padding."""


class Transfers:
    """Who moves how much at once: each transfer may hold a whole workspace on the runtime's disk until it is over."""

    def __init__(self, folder: Path) -> None:
        """`folder` is where tars lie while they are on their way, as files without a name."""
        self._folder = folder
        self._under_way: Counter[str] = Counter()

    @contextmanager
    def one(self, principal: str) -> Iterator[ExitStack]:
        """One transfer, over with the block; or, where `pop_all` took that over, when the stack is closed.

        Raises:
            WorkspaceError: the principal has as many as it may.
        """
        if self._under_way[principal] >= TRANSFERS:
            raise WorkspaceError(f"You have {TRANSFERS} transfers of files under way. Wait for one of them to end.")
        self._under_way[principal] += 1
        with ExitStack() as ending:
            ending.callback(self._over, principal)
            yield ending

    def _over(self, principal: str) -> None:
        self._under_way[principal] -= 1
        if not self._under_way[principal]:
            del self._under_way[principal]

    async def file(self, transfer: ExitStack) -> BinaryIO:
        """An empty file for one tar, gone with its transfer."""
        opened = await to_thread.run_sync(partial(tempfile.TemporaryFile, dir=self._folder))
        return transfer.enter_context(cast("BinaryIO", opened))


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
    """A tar from an open file, from its start; the transfer ends with the answer, whatever happens to that."""

    def __init__(self, stream: BinaryIO, facts: Mapping[str, Any], transfer: ExitStack) -> None:
        """`facts` go into `REPORT_HEADER`."""
        self._stream = stream
        self._transfer = transfer
        stream.seek(0)
        headers = {REPORT_HEADER: json.dumps(facts, ensure_ascii=True)}
        super().__init__(self._pieces(), media_type="application/x-tar", headers=headers)

    async def _pieces(self) -> AsyncIterator[bytes]:
        while piece := await to_thread.run_sync(self._stream.read, PIECE):
            yield piece

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As Starlette does it."""
        with self._transfer:
            await super().__call__(scope, receive, send)
