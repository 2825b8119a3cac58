"""Which addresses the browser may be sent to, and how one of a file of the workspace is written."""

from __future__ import annotations

import os
from urllib.parse import quote, unquote_to_bytes, urlsplit

from muxi_servers.kit.errors import ToolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from muxi_servers.kit.workspace import Workspace

__all__ = ["check_download", "page_address", "path_of"]

_LOCAL = "file:///workspace/"
_HOSTS = ("http://", "https://")
_SCHEMES = (*_HOSTS, "data:", "about:blank", "chrome://sandbox", _LOCAL)


def page_address(url: str, workspace: Workspace) -> str:
    """The address to open. That of a file is made anew from where the path leads, so that nothing is decoded twice.

    Raises:
        ToolError: it is none of a page that can be opened, or the file is not there.
    """
    lowered = url.lower()
    if not lowered.startswith(_SCHEMES):
        known = "http, https, data and file:///workspace/"
        raise ToolError(f"{url[:100]!r} cannot be opened: it must begin with one of {known}.")
    if not lowered.startswith("file:"):
        return url
    with workspace.locate(path_of(url)) as place:
        if not place.stat():
            raise ToolError(f"{place.path} does not exist in the workspace.")
        parts = urlsplit(url)
        query, fragment = parts.query and f"?{parts.query}", parts.fragment and f"#{parts.fragment}"
        return f"{_LOCAL}{quote(os.fsencode(place.path))}{query}{fragment}"


def path_of(url: str) -> str:
    """The path that a `file:` address names, decoded once; it may lead anywhere.

    Raises:
        ToolError: it names another host, or is none.
    """
    try:
        parts = urlsplit(url)
        path = os.fsdecode(unquote_to_bytes(os.fsencode(parts.path)))
    except ValueError:
        raise ToolError(f"{url[:100]!r} is no address of a file.") from None
    if parts.scheme != "file" or parts.netloc or not path.startswith("/"):
        raise ToolError(f"{url[:100]!r} is no address of a file of the workspace.")
    return path


def check_download(url: str) -> None:
    """Refuse what no host sends.

    Raises:
        ToolError: it is neither http nor https.
    """
    if not url.lower().startswith(_HOSTS):
        raise ToolError(f"{url[:100]!r} cannot be downloaded: it must begin with http:// or https://.")
