"""The server: a tool for each operation, and one that shows what a call would send."""

from __future__ import annotations

import os
from urllib.parse import quote

from muxi_servers.kit.content import ToolResult, text
from muxi_servers.kit.errors import ToolError
from muxi_servers.kit.schema import find_error
from muxi_servers.kit.server import Server
from muxi_servers.kit.tools import Tool, object_schema
from muxi_servers.openapi.answers import output_schema
from muxi_servers.openapi.pages import perform
from muxi_servers.openapi.request import make_request

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from muxi_servers.kit.call import Call
    from muxi_servers.openapi.document import Document, Operation

__all__ = ["build"]

VERSION = "0.1.0"
DESCRIBED = object_schema(
    {
        "method": {"type": "string"},
        "url": {"type": "string"},
        "headers": {
            "type": "array",
            "items": object_schema({"name": {"type": "string"}, "value": {"type": "string"}}),
        },
        "body": {"type": ["string", "null"]},
    }
)


def build(document: Document) -> Server:
    """The server of one API."""
    info = {"name": "muxi-openapi", "title": document.title or "API", "version": VERSION}
    tools = [_tool(operation) for operation in document.operations]
    return Server(info, "Each tool makes one request to the API.", [*tools, _dry_run_tool(document)])


def _tool(operation: Operation) -> Tool:
    return Tool(
        operation.name,
        _performing(operation),
        title=operation.title,
        description=operation.description,
        arguments=operation.arguments,
        output=output_schema(operation.answer),
        read_only=operation.read_only,
        destructive=operation.destructive,
        idempotent=operation.idempotent,
        reaches=True,
    )


def _performing(operation: Operation) -> Callable[[Call, dict[str, Any]], ToolResult]:
    def run(call: Call, arguments: dict[str, Any]) -> ToolResult:
        return perform(call, operation, arguments, os.environ)

    return run


def _dry_run_tool(document: Document) -> Tool:
    known = {operation.name: operation for operation in document.operations}

    def run(_: Call, arguments: dict[str, Any]) -> ToolResult:
        operation = known.get(arguments["tool"])
        if operation is None:
            raise ToolError(f"There is no tool {arguments['tool'][:80]!r} here; name one of this server's.")
        error = find_error(arguments["arguments"], operation.arguments)
        if error:
            raise ToolError(f"The arguments of {operation.name} do not fit: {error}.")
        return _described(operation, arguments["arguments"])

    return Tool(
        document.dry_run,
        run,
        title="Show a request",
        description="Show the request that a call of another tool would send, without sending it; secrets by name.",
        arguments=object_schema(
            {
                "tool": {"type": "string", "minLength": 1, "maxLength": 64},
                "arguments": {"type": "object", "default": {}, "description": "as the tool itself takes them"},
            },
            ["tool"],
        ),
        output=DESCRIBED,
        read_only=True,
        idempotent=True,
    )


def _described(operation: Operation, arguments: dict[str, Any]) -> ToolResult:
    names = {credential["secret"]: f"<{credential['secret']}>" for credential in operation.credentials}
    request = make_request(operation, arguments, names)
    body = None if request.body is None else request.body.decode("utf-8", "replace")
    url = str(request.place)
    for name in names.values():
        url = url.replace(quote(name, safe=""), name)
    basic = {c["name"]: f"Basic base64 of {names[c['secret']]}" for c in operation.credentials if c["form"] == "basic"}
    headers = [(name, basic.get(name, value)) for name, value in request.headers]
    structured = {
        "method": request.method,
        "url": url,
        "headers": [{"name": name, "value": value} for name, value in headers],
        "body": body,
    }
    lines = [f"{request.method} {url}", *(f"{name}: {value}" for name, value in headers)]
    return ToolResult([text("\n".join([*lines, *(["", body] if body else [])]))], structured)
