"""The tools that the suite calls: each takes the request's context and params."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import mcp_types as types
from mcp import MCPError

from conformance_mcp import content
from conformance_mcp.asking import InputNeededError, ask, given, is_modern
from conformance_mcp.content import form, roots, sample, text

Tool = Callable[[Any, Any], Awaitable[types.CallToolResult]]
PAUSE = 0.05


async def simple_text(_ctx: Any, _params: Any) -> types.CallToolResult:
    return text("This is a simple text response for testing.")


async def image_content(_ctx: Any, _params: Any) -> types.CallToolResult:
    return types.CallToolResult(content=[content.image()])


async def audio_content(_ctx: Any, _params: Any) -> types.CallToolResult:
    return types.CallToolResult(content=[types.AudioContent(type="audio", data=content.WAV, mime_type="audio/wav")])


async def embedded_resource(_ctx: Any, _params: Any) -> types.CallToolResult:
    block = content.embedded("test://embedded-resource", "text/plain", "This is an embedded resource content.")
    return types.CallToolResult(content=[block])


async def multiple_content_types(_ctx: Any, _params: Any) -> types.CallToolResult:
    mixed = content.embedded("test://mixed-content-resource", "application/json", '{"test":"data","value":123}')
    words = types.TextContent(type="text", text="Multiple content types test:")
    return types.CallToolResult(content=[words, content.image(), mixed])


async def with_logging(ctx: Any, _params: Any) -> types.CallToolResult:
    for words in ("Tool execution started", "Tool processing data", "Tool execution completed"):
        await ctx.session.send_log_message("info", words, related_request_id=ctx.request_id)
        await anyio.sleep(PAUSE)
    return text("logged")


async def with_progress(ctx: Any, _params: Any) -> types.CallToolResult:
    for done in (0, 50, 100):
        await ctx.session.report_progress(done, 100, f"Completed step {done} of 100")
        await anyio.sleep(PAUSE)
    return text("progressed")


async def error_handling(_ctx: Any, _params: Any) -> types.CallToolResult:
    return text("This tool intentionally returns an error for testing", is_error=True)


async def sampling(ctx: Any, params: Any) -> types.CallToolResult:
    answers = await ask(ctx, params, {"answer": sample(params.arguments["prompt"])})
    return text(f"LLM response: {answers['answer']['content']['text']}")


async def elicitation(ctx: Any, params: Any) -> types.CallToolResult:
    fields = {
        "username": {"type": "string", "description": "User's response"},
        "email": {"type": "string", "description": "User's email address"},
    }
    return await _elicited(ctx, params, form(params.arguments["message"], fields), "User response: ")


async def elicitation_sep1034_defaults(ctx: Any, params: Any) -> types.CallToolResult:
    return await _elicited(ctx, params, form("Please review", content.DEFAULTS, []), "Elicitation completed: ")


async def elicitation_sep1330_enums(ctx: Any, params: Any) -> types.CallToolResult:
    return await _elicited(ctx, params, form("Please choose", content.ENUMS, []), "Elicitation completed: ")


async def _elicited(ctx: Any, params: Any, question: dict[str, Any], words: str) -> types.CallToolResult:
    answer = (await ask(ctx, params, {"answer": question}))["answer"]
    return text(f"{words}action={answer['action']}, content={json.dumps(answer.get('content', {}))}")


async def required_elicitation(ctx: Any, params: Any) -> types.CallToolResult:
    answers = await ask(ctx, params, {"user_name": form("What is your name?", {"name": {"type": "string"}})})
    return text(f"Hello, {answers['user_name'].get('content', {}).get('name')}!")


async def required_sampling(ctx: Any, params: Any) -> types.CallToolResult:
    answers = await ask(ctx, params, {"capital_question": sample("What is the capital of France?")})
    return text(answers["capital_question"]["content"]["text"])


async def required_list_roots(ctx: Any, params: Any) -> types.CallToolResult:
    answers = await ask(ctx, params, {"client_roots": roots()})
    return text(", ".join(root["uri"] for root in answers["client_roots"]["roots"]))


CONFIRM = {"confirm": form("Please confirm", {"ok": {"type": "boolean"}})}


async def required_request_state(ctx: Any, params: Any) -> types.CallToolResult:
    await ask(ctx, params, CONFIRM, "waits for the confirmation")
    return text("state-ok")


async def required_multiple_inputs(ctx: Any, params: Any) -> types.CallToolResult:
    questions = {
        "user_name": form("What is your name?", {"name": {"type": "string"}}),
        "greeting": sample("Generate a greeting", 50),
        "client_roots": roots(),
    }
    answers = await ask(ctx, params, questions, "waits for all three")
    return text(", ".join(sorted(answers)))


async def required_multi_round(ctx: Any, params: Any) -> types.CallToolResult:
    first = {"step1": form("Step 1: What is your name?", {"name": {"type": "string"}})}
    second = {"step2": form("Step 2: What is your favorite color?", {"color": {"type": "string"}})}
    if not is_modern(ctx):
        name, color = await ask(ctx, params, first), await ask(ctx, params, second)
        return text(f"{name['step1']['content']['name']} likes {color['step2']['content']['color']}")
    if params.request_state is None:
        raise InputNeededError(first, "step 1")
    if params.request_state == "step 1":
        name = given(params)["step1"]["content"]["name"]
        raise InputNeededError(second, f"step 2 {name}")
    name = params.request_state.removeprefix("step 2 ")
    return text(f"{name} likes {given(params)['step2']['content']['color']}")


async def required_capabilities(ctx: Any, params: Any) -> types.CallToolResult:
    able = ctx.session.client_capabilities
    questions = {}
    if able is not None and able.sampling is not None:
        questions["capital_question"] = sample("What is the capital of France?")
    if able is not None and able.elicitation is not None:
        questions["user_name"] = form("What is your name?", {"name": {"type": "string"}})
    await ask(ctx, params, questions)
    return text("asked only what can be answered")


async def missing_capability(ctx: Any, _params: Any) -> types.CallToolResult:
    able = ctx.session.client_capabilities
    if able is None or able.sampling is None:
        data = {"requiredCapabilities": {"sampling": {}}}
        raise MCPError(types.MISSING_REQUIRED_CLIENT_CAPABILITY, "Sampling is required", data)
    return text("the client can sample")


async def headers(_ctx: Any, params: Any) -> types.CallToolResult:
    return text(f"region {params.arguments['region']}")


TOOLS: dict[str, Tool] = {
    "test_simple_text": simple_text,
    "test_image_content": image_content,
    "test_audio_content": audio_content,
    "test_embedded_resource": embedded_resource,
    "test_multiple_content_types": multiple_content_types,
    "test_tool_with_logging": with_logging,
    "test_logging_tool": with_logging,
    "test_tool_with_progress": with_progress,
    "test_error_handling": error_handling,
    "test_sampling": sampling,
    "test_elicitation": elicitation,
    "test_elicitation_sep1034_defaults": elicitation_sep1034_defaults,
    "test_elicitation_sep1330_enums": elicitation_sep1330_enums,
    "test_streaming_elicitation": required_elicitation,
    "test_input_required_result_elicitation": required_elicitation,
    "test_input_required_result_sampling": required_sampling,
    "test_input_required_result_list_roots": required_list_roots,
    "test_input_required_result_request_state": required_request_state,
    "test_input_required_result_tampered_state": required_request_state,
    "test_input_required_result_multiple_inputs": required_multiple_inputs,
    "test_input_required_result_multi_round": required_multi_round,
    "test_input_required_result_capabilities": required_capabilities,
    "test_missing_capability": missing_capability,
    "test_headers": headers,
    content.JSON_SCHEMA_TOOL: simple_text,
}
SCHEMAS: dict[str, dict[str, Any]] = {
    content.JSON_SCHEMA_TOOL: content.JSON_SCHEMA,
    "test_headers": content.MIRRORED,
    "test_sampling": {"type": "object", "properties": {"prompt": {"type": "string"}}, "required": ["prompt"]},
    "test_elicitation": {"type": "object", "properties": {"message": {"type": "string"}}, "required": ["message"]},
}
