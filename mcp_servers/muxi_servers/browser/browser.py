"""The tools as functions of the server: each asks the process that drives Chromium."""

from __future__ import annotations

from muxi_servers.browser.addresses import check_download, page_address
from muxi_servers.browser.files import copy_in, copy_out, read_made
from muxi_servers.kit.content import ToolResult, image, text
from muxi_servers.kit.errors import ToolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from muxi_servers.browser.link import Link
    from muxi_servers.browser.remote import Remote
    from muxi_servers.kit.call import Call
    from muxi_servers.kit.tools import Function
    from muxi_servers.kit.workspace import Workspace

__all__ = ["Browser"]

_SECONDS = 60.0
_MORE_SECONDS = 5.0


class Browser:
    """Thread-safe."""

    def __init__(self, remote: Remote, workspace: Workspace) -> None:
        self._remote = remote
        self._workspace = workspace

    def tool(self, name: str) -> Function:
        """The function of a tool that needs nothing of this server."""

        def run(call: Call, arguments: dict[str, Any]) -> ToolResult:
            reply = self._remote.use(call, lambda link: _ask(link, call, name, arguments))
            return ToolResult([text(reply["text"])], reply["structured"])

        return run

    def open(self, call: Call, arguments: dict[str, Any]) -> ToolResult:
        """See the tool's description.

        Raises:
            ToolError: the address is none that can be opened.
        """
        return self.tool("open")(call, {**arguments, "url": page_address(arguments["url"].strip(), self._workspace)})

    def upload(self, call: Call, arguments: dict[str, Any]) -> ToolResult:
        """See the tool's description.

        Raises:
            ToolError: a file is not there, or they are too large.
        """

        def work(link: Link) -> dict[str, Any]:
            files = copy_in(self._workspace, arguments["paths"], link.folder)
            return _ask(link, call, "upload", {"target": arguments["target"], "files": files})

        reply = self._remote.use(call, work)
        return ToolResult([text(reply["text"])], reply["structured"])

    def screenshot(self, call: Call, arguments: dict[str, Any]) -> ToolResult:
        """See the tool's description."""
        made: list[bytes] = []

        def work(link: Link) -> dict[str, Any]:
            reply = _ask(link, call, "screenshot", arguments)
            made.append(read_made(reply["file"], link.folder))
            return reply

        reply = self._remote.use(call, work)
        return ToolResult([text(reply["text"]), image(made[0], reply["structured"]["mime_type"])], reply["structured"])

    def save(self, name: str) -> Function:
        """The function of a tool that makes a file, which is put into the workspace."""

        def run(call: Call, arguments: dict[str, Any]) -> ToolResult:
            if arguments.get("url"):
                check_download(arguments["url"])
            self._check_free(arguments)
            reply = self._remote.use(call, lambda link: self._save(link, call, name, arguments))
            return ToolResult([text(reply["text"])], reply["structured"])

        return run

    def _check_free(self, arguments: dict[str, Any]) -> None:
        """Before the work, so that it is not done in vain."""
        with self._workspace.locate(arguments["path"], make_folders=True) as place:
            if place.stat() and not arguments["overwrite"]:
                raise ToolError(f"{place.path} exists already: set overwrite, or take another name.")

    def _save(self, link: Link, call: Call, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        reply = _ask(link, call, name, arguments)
        where = (reply["file"], link.folder, arguments["path"])
        path, size = copy_out(self._workspace, *where, overwrite=arguments["overwrite"])
        structured = {**reply["structured"], "path": path, "size_bytes": size}
        return {**reply, "text": f"{path} has {size} bytes.\n{reply['text']}", "structured": structured}


def _ask(link: Link, call: Call, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    seconds = float(arguments.get("timeout_seconds", _SECONDS)) + _MORE_SECONDS
    return link.ask(call, name, arguments, seconds)
