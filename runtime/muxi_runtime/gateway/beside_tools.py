"""Resources and prompts at the front: the lists exist and are empty, since no server's are offered yet.

Clients of both eras ask for them at their start; an empty list is the true answer, an unknown method is not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import mcp_types as types
from mcp import MCPError
from mcp.server.caching import CacheableMethod

if TYPE_CHECKING:
    from mcp.server.context import ServerRequestContext
    from mcp.server.lowlevel.server import Server

__all__ = ["CACHEABLE", "offer_nothing_beside_tools"]

CACHEABLE: tuple[CacheableMethod, ...] = (
    "prompts/list",
    "resources/list",
    "resources/templates/list",
    "resources/read",
)


def offer_nothing_beside_tools(server: Server[Any]) -> None:
    """Answer what clients ask about resources and prompts."""
    server.add_request_handler("resources/list", types.PaginatedRequestParams, _no_resources)
    server.add_request_handler("resources/templates/list", types.PaginatedRequestParams, _no_templates)
    server.add_request_handler("resources/read", types.ReadResourceRequestParams, _no_such_resource)
    server.add_request_handler("prompts/list", types.PaginatedRequestParams, _no_prompts)
    server.add_request_handler("prompts/get", types.GetPromptRequestParams, _no_such_prompt)


async def _no_resources(
    _ctx: ServerRequestContext[Any, Any], _params: types.PaginatedRequestParams
) -> types.ListResourcesResult:
    return types.ListResourcesResult(resources=[])


async def _no_templates(
    _ctx: ServerRequestContext[Any, Any], _params: types.PaginatedRequestParams
) -> types.ListResourceTemplatesResult:
    return types.ListResourceTemplatesResult(resource_templates=[])


async def _no_prompts(
    _ctx: ServerRequestContext[Any, Any], _params: types.PaginatedRequestParams
) -> types.ListPromptsResult:
    return types.ListPromptsResult(prompts=[])


async def _no_such_resource(
    _ctx: ServerRequestContext[Any, Any], params: types.ReadResourceRequestParams
) -> types.ReadResourceResult:
    raise MCPError(
        types.INVALID_PARAMS, f"There is no resource {params.uri!r}; resources/list shows all.", {"uri": params.uri}
    )


async def _no_such_prompt(
    _ctx: ServerRequestContext[Any, Any], params: types.GetPromptRequestParams
) -> types.GetPromptResult:
    raise MCPError(types.INVALID_PARAMS, f"There is no prompt {params.name!r}; prompts/list shows all.")
