"""What a model is shown of a server's words holds nothing hidden, whatever way it comes; too much of it is cut."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import mcp_types as types
import pytest
from gateway_harness import Gateway, open_gateway
from mcp import MCPError
from sly_server import HIDDEN, SEEN, SLY, TAGS, sly_program

from muxi_runtime.gateway.hidden import clean
from muxi_runtime.gateway.wire_errors import SERVER_FAILED
from muxi_runtime.journal.read import Query, search
from muxi_runtime.store.engine import open_store

pytestmark = [
    pytest.mark.promise("results-are-cleaned"),
    pytest.mark.filterwarnings("ignore::mcp.shared.exceptions.MCPDeprecationWarning"),
]

ERAS = pytest.mark.parametrize("mode", ["auto", "legacy"])
SLY_SERVER = {"image": "sly@sha256:0"}


@asynccontextmanager
async def gateway_of(home: Path, **options: Any) -> AsyncIterator[Gateway]:
    manifests = options.pop("manifests", {"sly": SLY_SERVER})
    async with open_gateway(home, manifests=manifests, programs={"sly@sha256:0": sly_program()}, **options) as opened:
        yield opened


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Gateway]:
    async with gateway_of(tmp_path / "home") as opened:
        yield opened


def is_clean(value: Any) -> bool:
    text = json.dumps(value, ensure_ascii=False)
    return clean(text)[1] == 0 and "\\u00" not in text and TAGS not in text


def wire(result: Any) -> Any:
    return result.model_dump(mode="json", by_alias=True, exclude_none=True)


def finished(home: Path) -> dict[str, Any]:
    engine = open_store(home)
    try:
        return dict(list(search(engine, Query(kind="call.finished")))[-1].data)
    finally:
        engine.dispose()


@ERAS
@pytest.mark.parametrize(("tool", "times"), [("text", 1), ("linked", 4), ("structured", 3), ("complain", 1)])
async def test_every_text_of_a_result_is_cleaned_and_the_count_is_told(
    gateway: Gateway, tmp_path: Path, mode: str, tool: str, times: int
):
    async with gateway.client(mode=mode) as client:
        result = wire(await client.call_tool(f"sly__{tool}", {}))
    assert is_clean(result)
    assert SEEN in json.dumps(result)
    assert result["_meta"]["muxi/stripped"] == times * HIDDEN
    assert finished(tmp_path / "home")["stripped"] == times * HIDDEN


async def test_keys_of_structured_content_are_cleaned_and_other_values_stay(gateway: Gateway):
    async with gateway.client() as client:
        result = await client.call_tool("sly__structured", {})
    assert result.structured_content == {SEEN: [SEEN, {"deep": SEEN}], "number": 1}


async def test_binary_stays(gateway: Gateway):
    async with gateway.client() as client:
        result = await client.call_tool("sly__linked", {})
    assert result.content[2].data == "aGlkZGVu"


async def test_keys_that_would_become_one_are_refused(gateway: Gateway):
    async with gateway.client() as client:
        with pytest.raises(MCPError, match="two keys 'to'") as refused:
            await client.call_tool("sly__colliding", {})
    assert refused.value.code == SERVER_FAILED


@ERAS
async def test_resources_prompts_and_their_lists_are_cleaned(gateway: Gateway, mode: str):
    async with gateway.client(mode=mode) as client:
        found = [
            await client.read_resource("sly:a"),
            await client.get_prompt("sly__p"),
            await client.list_tools(),
            await client.list_resources(),
            await client.list_prompts(),
        ]
    for one in found:
        assert is_clean(wire(one))
        assert SEEN in json.dumps(wire(one))


@ERAS
async def test_an_error_in_the_server_s_words_is_cleaned(gateway: Gateway, mode: str):
    async with gateway.client(mode=mode) as client:
        with pytest.raises(MCPError) as refused:
            await client.call_tool("sly__protest", {})
    assert (str(refused.value), refused.value.data) == (SEEN, {"why": SEEN})


@ERAS
async def test_progress_and_log_messages_are_cleaned_and_counted(gateway: Gateway, mode: str):
    heard: list[str | None] = []

    async def progress(_progress: float, _total: float | None, message: str | None) -> None:
        heard.append(message)

    async def log(params: types.LoggingMessageNotificationParams) -> None:
        heard.append(str(params.data))

    async with gateway.client(mode=mode, logging_callback=log) as client:
        result = await client.call_tool("sly__chat", {}, progress_callback=progress)
    assert heard
    assert set(heard) == {SEEN}
    assert wire(result)["_meta"]["muxi/stripped"] == len(heard) * HIDDEN


async def test_what_a_server_asks_in_a_call_is_cleaned(gateway: Gateway):
    asked: list[str] = []

    async def answer(_context: Any, params: types.ElicitRequestFormParams) -> types.ElicitResult:
        asked.append(params.message)
        return types.ElicitResult(action="cancel")

    async with gateway.client(mode="legacy", elicitation_callback=answer) as client:
        with pytest.raises(MCPError):
            await client.call_tool("sly__ask", {})
    assert set(asked) == {SEEN}


@ERAS
async def test_a_clean_result_is_given_as_it_came(gateway: Gateway, mode: str):
    said = "plain\ttext\r\n中文 👩\u200d🚀"
    async with gateway.client(mode=mode) as client:
        result = wire(await client.call_tool("sly__echo", {"text": said}))
    assert result["content"] == [{"type": "text", "text": said}]
    assert not {"muxi/stripped", "muxi/rest"} & (result.get("_meta") or {}).keys()


@ERAS
async def test_a_server_cannot_speak_for_the_runtime(gateway: Gateway, mode: str):
    async with gateway.client(mode=mode) as client:
        result = wire(await client.call_tool("sly__labelled", {}))
    assert result["_meta"]["its/own"] == 1
    assert result["_meta"]["muxi/labels"] == ["untrusted"]
    assert "muxi/stripped" not in result["_meta"]


async def cut(client: Any, size: int, **arguments: Any) -> tuple[str, dict[str, Any]]:
    result = await client.call_tool("sly__large", {"size": size, **arguments})
    return result.content[0].text, result.meta["muxi/rest"][0]


LIMITS = {"max_result_bytes": 2_000, "max_whole_result_bytes": 100_000, "kept_results_bytes": 50_000}


@ERAS
async def test_the_rest_of_a_long_text_can_be_read_by_tool_and_as_a_resource(tmp_path: Path, mode: str):
    async with gateway_of(tmp_path / "home", **LIMITS) as gateway, gateway.client(mode=mode) as client:
        text, rest = await cut(client, 20_000)
        assert len(text) < 2_500
        assert rest["uri"] in text
        assert f"offset={rest['shown']}" in text
        whole, offset = text[: rest["shown"]], rest["shown"]
        while offset is not None:
            part = await client.call_tool("muxi__result_read", {"uri": rest["uri"], "offset": offset, "length": 1500})
            whole, offset = whole + part.content[0].text, part.structured_content.get("next_offset")
        assert whole == "".join(f"{number:09}\n" for number in range(2_000))
        read = await client.read_resource(f"{rest['uri']}?offset=100&length=20")
        assert read.contents[0].text == whole[100:120]


async def test_what_is_kept_is_clean_too(tmp_path: Path):
    async with gateway_of(tmp_path / "home", **LIMITS) as gateway, gateway.client() as client:
        _, rest = await cut(client, 20_000, first=SLY)
        part = await client.call_tool("muxi__result_read", {"uri": rest["uri"], "length": 20})
    assert part.content[0].text == f"{SEEN}000000000\n00"


async def test_a_rest_is_its_task_s_alone_and_ends_with_it(tmp_path: Path):
    async with gateway_of(tmp_path / "home", **LIMITS) as gateway:
        ada, bob = (gateway.runtime.keys.create(user)[1] for user in ("ada", "bob"))
        async with gateway.client(key=ada) as hers, gateway.client(key=bob) as his:
            _, rest = await cut(hers, 20_000)
            other = (await hers.call_tool("muxi__task_new", {})).structured_content["task"]
            mine = next(
                task["task"]
                for task in (await hers.call_tool("muxi__task_list", {})).structured_content["tasks"]
                if task["task"] != other
            )
            for client, meta in ((his, None), (hers, {"muxi/task": other}), (his, {"muxi/task": mine})):
                with pytest.raises(MCPError):
                    await client.call_tool("muxi__result_read", {"uri": rest["uri"]}, meta=meta)
            with pytest.raises(MCPError):
                await his.read_resource(rest["uri"])
            assert await hers.call_tool("muxi__result_read", {"uri": rest["uri"]}, meta={"muxi/task": mine})
            await hers.call_tool("muxi__task_end", {"task": mine})
            with pytest.raises(MCPError, match="keeps no result"):
                await hers.call_tool("muxi__result_read", {"uri": rest["uri"]})


async def test_older_rests_make_room_and_the_largest_results_are_refused(tmp_path: Path):
    async with gateway_of(tmp_path / "home", **LIMITS) as gateway, gateway.client() as client:
        _, first = await cut(client, 30_000)
        _, second = await cut(client, 30_000)
        with pytest.raises(MCPError, match="keeps no result"):
            await client.read_resource(first["uri"])
        assert (await client.read_resource(second["uri"])).contents
        with pytest.raises(MCPError, match="50000 are kept") as refused:
            await client.call_tool("sly__large", {"size": 60_000})
        assert refused.value.code == SERVER_FAILED
        with pytest.raises(MCPError, match="the limit is 100000"):
            await client.call_tool("sly__large", {"size": 200_000})


@ERAS
async def test_structured_content_that_is_too_large_is_kept_and_its_promise_is_not_broken_in_silence(
    tmp_path: Path, mode: str
):
    async with gateway_of(tmp_path / "home", **LIMITS) as gateway, gateway.client(mode=mode) as client:
        result = await client.call_tool("sly__promise", {"size": 10_000})
        assert result.is_error
        assert result.structured_content is None
        assert "the call was made" in result.content[0].text
        rest = result.meta["muxi/rest"][0]
        text, offset = "", 0
        while offset is not None:
            (part,) = (await client.read_resource(f"{rest['uri']}?offset={offset}")).contents
            assert part.mime_type == "application/json"
            text, offset = text + part.text, part.meta.get("next_offset")
        assert json.loads(text) == {"text": "x" * 10_000}
