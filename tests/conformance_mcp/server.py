"""The fixture as a low-level server of the SDK."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import mcp_types as types
from mcp import MCPError
from mcp.server.lowlevel.server import NotificationOptions, Server
from mcp.server.request_state import RequestStateBoundary, RequestStateSecurity
from mcp.server.subscriptions import (
    InMemorySubscriptionBus,
    ListenHandler,
    PromptsListChanged,
    ResourceUpdated,
    ToolsListChanged,
)

from conformance_mcp import content
from conformance_mcp.asking import InputNeededError, ask
from conformance_mcp.tools import SCHEMAS, TOOLS

NAME = "conformance"
TEXTS = {
    "test://static-text": "This is the content of the static text resource.",
    "test://watched-resource": "This content is watched.",
    "test://example-resource": "An example.",
}
BINARY = "test://static-binary"
TEMPLATE = "test://template/{id}/data"
PROMPTS: dict[str, list[str]] = {
    "test_simple_prompt": [],
    "test_prompt_with_arguments": ["arg1", "arg2"],
    "test_prompt_with_embedded_resource": ["resourceUri"],
    "test_prompt_with_image": [],
    "test_input_required_result_prompt": [],
}
TRIGGERS = ("test_trigger_tool_change", "test_trigger_prompt_change", "test_touch_resource")


class _Announcing(Server[Any]):
    """Says in the legacy era too that its lists change and that resources can be subscribed to."""

    def create_initialization_options(self, notification_options: Any = None, *more: Any, **named: Any) -> Any:
        options = notification_options or NotificationOptions(
            tools_changed=True, prompts_changed=True, resources_changed=True
        )
        return super().create_initialization_options(options, *more, **named)


class Fixture:
    """One running copy."""

    def __init__(self) -> None:
        self.levels: list[str] = []
        self.watched: set[str] = set()
        self.roots: list[str] = []
        self.asked_roots = anyio.Event()
        self._grown: list[str] = []
        self._said_of_prompts = ""
        self._bus = InMemorySubscriptionBus()
        self.server: Server[Any] = _Announcing(
            NAME,
            version="1.0.0",
            on_list_tools=self._list_tools,
            on_call_tool=self._call_tool,
            on_list_resources=self._list_resources,
            on_list_resource_templates=self._list_templates,
            on_read_resource=self._read,
            on_subscribe_resource=self._subscribe,
            on_unsubscribe_resource=self._unsubscribe,
            on_list_prompts=self._list_prompts,
            on_get_prompt=self._get_prompt,
            on_completion=self._complete,
            on_set_logging_level=self._set_level,
            on_subscriptions_listen=ListenHandler(self._bus),
        )
        self.server.middleware.append(RequestStateBoundary(RequestStateSecurity.ephemeral(), default_audience=NAME))

        self.server.add_notification_handler(
            "notifications/roots/list_changed", types.NotificationParams, self._roots_changed
        )

    async def _roots_changed(self, ctx: Any, _params: Any) -> None:
        found = await ctx.session.send_request(types.ListRootsRequest(), types.ListRootsResult)
        self.roots = [str(root.uri) for root in found.roots]
        self.asked_roots.set()

    async def _list_tools(self, _ctx: Any, _params: Any) -> types.ListToolsResult:
        names = [*TOOLS, *TRIGGERS, *self._grown]
        tools = [
            types.Tool(
                name=name,
                description=f"Fixture {name}",
                input_schema=SCHEMAS.get(name, content.OBJECT),
                annotations=types.ToolAnnotations(read_only_hint=True, open_world_hint=False),
            )
            for name in names
        ]
        return types.ListToolsResult(tools=tools)

    async def _call_tool(self, ctx: Any, params: Any) -> types.CallToolResult | types.InputRequiredResult:
        if params.name in TRIGGERS:
            return await self._trigger(ctx, params)
        if params.name not in TOOLS:
            raise MCPError(types.INVALID_PARAMS, f"Unknown tool: {params.name}")
        return await _answered(lambda: TOOLS[params.name](ctx, params))

    async def _trigger(self, ctx: Any, params: Any) -> types.CallToolResult:
        if params.name == "test_trigger_tool_change":
            self._grown = [] if self._grown else ["test_grown"]
            await self._bus.publish(ToolsListChanged())
            await ctx.session.send_tool_list_changed()
        elif params.name == "test_trigger_prompt_change":
            self._said_of_prompts = str((params.arguments or {}).get("text", ""))
            await self._bus.publish(PromptsListChanged())
            await ctx.session.send_prompt_list_changed()
        else:
            uri = (params.arguments or {}).get("uri", "test://watched-resource")
            await self._bus.publish(ResourceUpdated(uri=uri))
            if uri in self.watched:
                await ctx.session.send_resource_updated(uri)
        return content.text("changed")

    async def _list_resources(self, _ctx: Any, _params: Any) -> types.ListResourcesResult:
        texts = [types.Resource(uri=uri, name=uri.rpartition("/")[2], mime_type="text/plain") for uri in TEXTS]
        binary = types.Resource(uri=BINARY, name="static-binary", mime_type="image/png")
        return types.ListResourcesResult(resources=[*texts, binary])

    async def _list_templates(self, _ctx: Any, _params: Any) -> types.ListResourceTemplatesResult:
        template = types.ResourceTemplate(uri_template=TEMPLATE, name="template", mime_type="application/json")
        return types.ListResourceTemplatesResult(resource_templates=[template])

    async def _read(self, _ctx: Any, params: Any) -> types.ReadResourceResult:
        uri = str(params.uri)
        block: types.TextResourceContents | types.BlobResourceContents
        if uri in TEXTS:
            block = types.TextResourceContents(uri=uri, mime_type="text/plain", text=TEXTS[uri])
        elif uri == BINARY:
            block = types.BlobResourceContents(uri=uri, mime_type="image/png", blob=content.PNG)
        elif uri.startswith("test://template/") and uri.endswith("/data"):
            number = uri.removeprefix("test://template/").removesuffix("/data")
            value = json.dumps({"id": number, "templateTest": True, "data": f"Data for ID: {number}"})
            block = types.TextResourceContents(uri=uri, mime_type="application/json", text=value)
        else:
            raise MCPError(types.INVALID_PARAMS, "Resource not found", {"uri": uri})
        return types.ReadResourceResult(contents=[block])

    async def _subscribe(self, _ctx: Any, params: Any) -> types.EmptyResult:
        self.watched.add(str(params.uri))
        return types.EmptyResult()

    async def _unsubscribe(self, _ctx: Any, params: Any) -> types.EmptyResult:
        self.watched.discard(str(params.uri))
        return types.EmptyResult()

    async def _list_prompts(self, _ctx: Any, _params: Any) -> types.ListPromptsResult:
        prompts = [
            types.Prompt(
                name=name,
                description=f"Fixture {name}{self._said_of_prompts}",
                arguments=[types.PromptArgument(name=argument, required=True) for argument in arguments],
            )
            for name, arguments in PROMPTS.items()
        ]
        return types.ListPromptsResult(prompts=prompts)

    async def _get_prompt(self, ctx: Any, params: Any) -> types.GetPromptResult | types.InputRequiredResult:
        if params.name not in PROMPTS:
            raise MCPError(types.INVALID_PARAMS, f"Unknown prompt: {params.name}")
        return await _answered(lambda: _prompt(ctx, params))

    async def _complete(self, _ctx: Any, params: Any) -> types.CompleteResult:
        values = [word for word in ("paris", "park", "party", "testing") if word.startswith(params.argument.value)]
        return types.CompleteResult(completion=types.Completion(values=values, total=len(values), has_more=False))

    async def _set_level(self, _ctx: Any, params: Any) -> types.EmptyResult:
        self.levels.append(params.level)
        return types.EmptyResult()


async def _answered(answer: Callable[[], Awaitable[Any]]) -> Any:
    try:
        return await answer()
    except InputNeededError as needed:
        return needed.result


async def _prompt(ctx: Any, params: Any) -> types.GetPromptResult:
    arguments = params.arguments or {}
    blocks: list[types.ContentBlock] = [types.TextContent(type="text", text="This is a simple prompt for testing.")]
    if params.name == "test_prompt_with_arguments":
        words = f"Prompt with arguments: arg1='{arguments['arg1']}', arg2='{arguments['arg2']}'"
        blocks = [types.TextContent(type="text", text=words)]
    elif params.name == "test_prompt_with_embedded_resource":
        embedded = content.embedded(arguments["resourceUri"], "text/plain", "Embedded resource content for testing.")
        blocks = [embedded, types.TextContent(type="text", text="Please process the embedded resource above.")]
    elif params.name == "test_prompt_with_image":
        blocks = [content.image(), types.TextContent(type="text", text="Please analyze the image above.")]
    elif params.name == "test_input_required_result_prompt":
        question = content.form("What context should the prompt use?", {"context": {"type": "string"}})
        answers = await ask(ctx, params, {"user_context": question})
        blocks = [types.TextContent(type="text", text=f"Context: {answers['user_context']['content']['context']}")]
    return types.GetPromptResult(messages=[types.PromptMessage(role="user", content=block) for block in blocks])
