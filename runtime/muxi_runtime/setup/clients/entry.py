"""What a client has to be told of this runtime: an address, or a command to start; each in the client's own form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

__all__ = ["Form", "Way", "entry_for", "leads_here"]


@dataclass(frozen=True, slots=True)
class Way:
    """How this runtime is reached.

    Attributes:
        url: of the endpoint, with the server's path if only one is wanted.
        command: what bridges standard input and output to it.
        key: the API key, or empty.
    """

    url: str
    command: tuple[str, ...]
    key: str = ""


@dataclass(frozen=True, slots=True)
class Form:
    """How one client spells an entry.

    Attributes:
        url: the field for the address; empty where the client can only start a command.
        headers: the field for HTTP headers.
        http_type: the value of `type` for an address; empty where there is no such field.
        stdio_type: the same for a command.
    """

    url: str = "url"
    headers: str = "headers"
    http_type: str = ""
    stdio_type: str = ""


def entry_for(form: Form, way: Way, *, as_command: bool) -> dict[str, Any]:
    """The entry: by address, or where the client or the user wants it so, by command."""
    if as_command or not form.url:
        program, *arguments = way.command
        kind = {"type": form.stdio_type} if form.stdio_type else {}
        secret = {"env": {"MUXI_KEY": way.key}} if way.key else {}
        return {**kind, "command": program, "args": arguments, **secret}
    kind = {"type": form.http_type} if form.http_type else {}
    secret = {form.headers: {"Authorization": f"Bearer {way.key}"}} if way.key else {}
    return {**kind, form.url: way.url, **secret}


def leads_here(entry: object) -> bool:
    """Whether an entry has the shape of those made here, for this runtime or for one at another address."""
    if not isinstance(entry, dict):
        return False
    arguments = entry.get("args")
    if isinstance(arguments, list) and "command" in entry:
        return "connect" in arguments and "muxi" in f"{entry['command']} {arguments}"
    url = entry.get("url", entry.get("httpUrl"))
    try:
        path = urlsplit(url).path if isinstance(url, str) else ""
    except ValueError:
        return False
    return path == "/mcp" or path.startswith("/mcp/")
