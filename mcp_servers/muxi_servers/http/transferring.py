"""The tools `download` and `upload`: files of the workspace from and to hosts."""

from __future__ import annotations

import os
import stat

from muxi_servers.http.asking import check_may_send, make_request
from muxi_servers.http.credentials import mask
from muxi_servers.http.replies import advice, shown_headers, to_result
from muxi_servers.http.requesting import EXCHANGE
from muxi_servers.kit.client.errand import Errand
from muxi_servers.kit.content import ToolResult, text
from muxi_servers.kit.errors import ToolError
from muxi_servers.kit.frames import write_all
from muxi_servers.kit.workspace import OsErrors, kind_of, open_regular

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from muxi_servers.http.credentials import Credentials
    from muxi_servers.kit.call import Call
    from muxi_servers.kit.client.exchange import Answer, Request
    from muxi_servers.kit.workspace import Place, Workspace

__all__ = ["Transferring"]

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_MAX_ANSWER = 200_000
_SHOWN_ERROR = 1_000


class Transferring:
    """Moves files of one workspace."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def download(self, call: Call, arguments: dict[str, Any]) -> ToolResult:
        """See the tool's description. The file is there whole or not at all.

        Raises:
            ToolError: the host is not reached or answers with an error, or the file cannot be written.
        """
        request, credentials = make_request("GET", arguments)
        path, limit = arguments["path"], int(arguments["max_bytes"])
        with self._workspace.locate(path, make_folders=True) as place, OsErrors(path):
            _check_place(place, overwrite=arguments["overwrite"])
            temporary = f".muxi-{os.urandom(8).hex()}"
            fd = os.open(temporary, _NEW, 0o644, dir_fd=place.folder)
            try:
                answer = _fetch(call, request, credentials, arguments, fd)
                _put(place, temporary, overwrite=arguments["overwrite"])
            finally:
                os.close(fd)
                _remove(place.folder, temporary)
        told = {
            "url": mask(str(request.url)),
            "path": place.path,
            "status": answer.status,
            "headers": shown_headers(answer),
            "media_type": answer.media_type,
            "size_bytes": answer.size,
        }
        return ToolResult([text(f"Saved {told['url']} as {place.path}: {answer.size} of at most {limit} bytes.")], told)

    def upload(self, call: Call, arguments: dict[str, Any]) -> ToolResult:
        """See the tool's description.

        Raises:
            ToolError: the operator did not allow it, there is no such file, or the host is not reached.
        """
        check_may_send()
        request, credentials = make_request(arguments["method"], arguments)
        path = arguments["path"]
        with self._workspace.locate(path) as place, OsErrors(path):
            fd = open_regular(place.folder, place.name)
        with open(fd, "rb") as file:
            size = os.fstat(fd).st_size
            if size > int(arguments["max_bytes"]):
                raise ToolError(f"{path} has {size} bytes; max_bytes is {arguments['max_bytes']}.")
            request.body, request.length = file, size
            request.headers.append(("Content-Type", arguments["media_type"]))
            with Errand(call, arguments["timeout_seconds"]) as errand:
                answer = EXCHANGE.ask(errand, request, _MAX_ANSWER)
        return to_result(request, answer, credentials)


def _fetch(call: Call, request: Request, credentials: Credentials, arguments: dict[str, Any], fd: int) -> Answer:
    def write(piece: bytes) -> None:
        with OsErrors(arguments["path"]):
            write_all(fd, piece)

    limit = int(arguments["max_bytes"])
    with Errand(call, arguments["timeout_seconds"]) as errand:
        answer = EXCHANGE.ask(errand, request, limit, sink=write)
    if not 200 <= answer.status < 300:  # noqa: PLR2004 - those that mean success
        told = mask(answer.body[:_SHOWN_ERROR].decode("utf-8", "replace")).strip()
        words = f"{mask(str(request.url))} answered {answer.status} {answer.reason}: nothing was saved."
        raise ToolError("\n".join(part for part in (words, advice(answer, credentials), told) if part))
    if not answer.is_whole:
        raise ToolError(f"{mask(str(request.url))} has more than max_bytes of {limit}: nothing was saved.")
    return answer


def _check_place(place: Place, *, overwrite: bool) -> None:
    existing = place.stat()
    if existing is None:
        return
    if not stat.S_ISREG(existing.st_mode):
        raise ToolError(f"{place.path} is a {kind_of(existing.st_mode)}, not a file.")
    if not overwrite:
        raise ToolError(f"{place.path} exists already: set overwrite, or take another name.")


def _put(place: Place, temporary: str, *, overwrite: bool) -> None:
    if overwrite:
        os.rename(temporary, place.name, src_dir_fd=place.folder, dst_dir_fd=place.folder)
    else:
        os.link(temporary, place.name, src_dir_fd=place.folder, dst_dir_fd=place.folder, follow_symlinks=False)


def _remove(folder: int, name: str) -> None:
    try:
        os.unlink(name, dir_fd=folder)
    except FileNotFoundError:
        return  # it was renamed
