"""`python -m conformance_mcp.client URL`: a client that uses all that a server offers, through a gateway of its own.

What the official suite tests as a client is the gateway's side towards servers: its scenario's server is the gateway's
only one, over HTTP. The client in front adds nothing: it calls each tool, reads each resource and gets each prompt that
the gateway shows it, and answers every question with the defaults. The suite says in the environment which protocol is
meant, and for some scenarios which arguments to use, or which client id is registered. Where the server wants a login,
`person` logs in.

Exits with 1, and says why, if the gateway cannot list the server, a login comes to nothing or a request fails.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import mcp_types as types
from gateway_harness import open_gateway
from mcp import Client
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import ConfigDict

from conformance_mcp.person import Person, as_operator

SERVER = "scenario"
DEFAULTS: dict[str, object] = {
    "string": "text",
    "number": 2,
    "integer": 2,
    "boolean": True,
    "array": [],
    "object": {},
    "null": None,
}


class _Anything(types.Result):
    """A result with all that is in it: the SDK's client would leave out tools that it does not like."""

    model_config = ConfigDict(extra="allow")


async def main(url: str) -> int:
    """Run a gateway in front of the server, and use everything; the exit code.

    Raises:
        MCPError: a request failed.
    """
    version = os.environ.get("MCP_CONFORMANCE_PROTOCOL_VERSION", "2026-07-28")
    mode = version if version in MODERN_PROTOCOL_VERSIONS else "legacy"
    with tempfile.TemporaryDirectory(prefix="muxi-conformance-") as home:
        opened = open_gateway(
            Path(home), manifests={SERVER: {"url": url}}, **await as_operator(Path(home), url, SERVER)
        )
        async with opened as gateway:
            person = Person(gateway, SERVER)
            while "servers login" in gateway.runtime.tools.servers[SERVER].error:
                await person.log_in()
            known = gateway.runtime.tools.servers[SERVER]
            if known.error:
                sys.stderr.write(f"{known.error}\n")
            if known.error and not known.listed:
                return 1
            async with gateway.client(
                mode=mode, url=f"{gateway.url}/{SERVER}", elicitation_callback=_agree, list_roots_callback=_no_roots
            ) as client:
                await _use_everything(client, person)
    return 0


async def _use_everything(client: Client, person: Person) -> None:
    listed = await _list(client, types.ListToolsRequest(), "tools")
    await client.list_tools()  # the SDK's client learns here which arguments a tool wants in headers
    for name, arguments in _calls(listed):
        await person.until_let_in(partial(client.call_tool, name, arguments))
    for resource in await _list(client, types.ListResourcesRequest(), "resources"):
        await client.read_resource(resource["uri"])
    for prompt in await _list(client, types.ListPromptsRequest(), "prompts"):
        await client.get_prompt(prompt["name"])


async def _list(client: Client, request: Any, key: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await client.session.send_request(request, _Anything)).model_dump()[key]
    return found


def _calls(tools: list[dict[str, Any]]) -> list[tuple[str, dict[str, Any]]]:
    """Those that the suite prescribes, else each tool once."""
    prescribed = json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT", "{}")).get("toolCalls")
    if prescribed:
        # Null is left out: the tools' schemas do not take it, and the gateway refuses what a schema does not take.
        return [
            (call["name"], {key: value for key, value in call["arguments"].items() if value is not None})
            for call in prescribed
        ]
    return [(tool["name"], _filled(tool.get("inputSchema") or {})) for tool in tools]


def _filled(schema: Mapping[str, Any]) -> dict[str, Any]:
    properties: Mapping[str, Mapping[str, Any]] = schema.get("properties") or {}
    return {name: field.get("default", DEFAULTS.get(str(field.get("type")))) for name, field in properties.items()}


async def _agree(_context: object, params: types.ElicitRequestParams) -> types.ElicitResult:
    if not isinstance(params, types.ElicitRequestFormParams):
        return types.ElicitResult(action="decline")  # `person` logs in by the command's way instead
    return types.ElicitResult(action="accept", content=_filled(params.requested_schema))


async def _no_roots(_context: object) -> types.ListRootsResult:
    return types.ListRootsResult(roots=[])


if __name__ == "__main__":
    sys.exit(anyio.run(main, sys.argv[1]))
