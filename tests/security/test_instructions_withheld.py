"""What gives instructions to a model in an untrusted result does not reach it by any way; persons can read it."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from bossy_server import HONEST, ORDER, TEXT, WISH, bossy_program
from gateway_harness import Gateway, open_gateway
from mcp import MCPError

from muxi_runtime.identity.roles import Role
from muxi_runtime.journal.read import Query, search
from muxi_runtime.store.engine import open_store

pytestmark = [
    pytest.mark.promise("instructions-are-withheld"),
    pytest.mark.filterwarnings("ignore::mcp.shared.exceptions.MCPDeprecationWarning"),
]

ERAS = pytest.mark.parametrize("mode", ["auto", "legacy"])
BOSSY = {"image": "bossy@sha256:0"}
NAME = re.compile(r"tasks withheld (t-[0-9a-f]+) ([0-9a-f]{24})\]")


@asynccontextmanager
async def gateway_of(home: Path, **options: Any) -> AsyncIterator[Gateway]:
    programs = {"bossy@sha256:0": bossy_program()}
    async with open_gateway(home, manifests={"bossy": BOSSY}, programs=programs, **options) as opened:
        yield opened


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Gateway]:
    async with gateway_of(tmp_path / "home") as opened:
        yield opened


def wire(result: Any) -> Any:
    return result.model_dump(mode="json", by_alias=True, exclude_none=True)


def told(home: Path, kind: str = "call.finished") -> dict[str, Any]:
    engine = open_store(home)
    try:
        return dict(list(search(engine, Query(kind=kind)))[-1].data)
    finally:
        engine.dispose()


@ERAS
@pytest.mark.parametrize(
    ("tool", "passages"),
    [("plain", 1), ("structured", 2), ("parted", 3), ("nested", 1), ("complain", 1), ("linked", 1)],
)
async def test_the_passage_does_not_reach_the_client_and_is_counted(
    gateway: Gateway, tmp_path: Path, mode: str, tool: str, passages: int
):
    async with gateway.client(mode=mode) as client:
        result = wire(await client.call_tool(f"bossy__{tool}", {}))
    text = json.dumps(result)
    assert WISH not in text
    assert "withheld" in text
    noted = told(tmp_path / "home")
    assert (noted["passages"], noted["instructions"], noted["rules"]) == (passages, "withhold", ["override"])
    assert result["_meta"]["muxi/instructions"]["passages"] == passages
    assert WISH not in json.dumps(noted)


@pytest.mark.parametrize("tool", ["plain", "complain", "structured", "nested", "parted"])
async def test_what_is_beside_the_passage_stays(gateway: Gateway, tool: str):
    async with gateway.client() as client:
        result = wire(await client.call_tool(f"bossy__{tool}", {}))
    assert HONEST in json.dumps(result)


async def test_structured_content_stays_what_the_tool_promises(gateway: Gateway):
    async with gateway.client() as client:
        result = await client.call_tool("bossy__structured", {})
    assert not result.is_error
    assert result.structured_content["kind"] == "book"
    assert result.structured_content["body"].startswith(HONEST)
    assert json.loads(result.content[0].text) == result.structured_content


async def test_structured_content_that_would_break_the_promise_is_left_out(gateway: Gateway):
    async with gateway.client() as client:
        result = await client.call_tool("bossy__promised", {})
    assert result.is_error
    assert result.structured_content is None
    assert "The call was made" in result.content[0].text
    assert WISH not in json.dumps(wire(result))


async def test_a_text_that_is_json_stays_json(gateway: Gateway):
    async with gateway.client() as client:
        result = await client.call_tool("bossy__nested", {})
    inner = json.loads(json.loads(result.content[0].text)["inner"])
    assert inner["mails"][0]["from"] == "ann"


@ERAS
async def test_resources_and_prompts_are_looked_at(gateway: Gateway, mode: str):
    async with gateway.client(mode=mode) as client:
        found = [wire(await client.read_resource("bossy:a")), wire(await client.get_prompt("bossy__p"))]
    for one in found:
        assert WISH not in json.dumps(one)
        assert HONEST in json.dumps(one)


@ERAS
async def test_an_error_in_the_server_s_words_is_looked_at(gateway: Gateway, tmp_path: Path, mode: str):
    async with gateway.client(mode=mode) as client:
        with pytest.raises(MCPError) as refused:
            await client.call_tool("bossy__protest", {})
    assert WISH not in refused.value.error.message + json.dumps(refused.value.error.data)
    assert told(tmp_path / "home", "call.failed")["passages"] == 2


async def test_progress_and_log_messages_are_looked_at(gateway: Gateway):
    said: list[str] = []

    async def progress(_done: float, _total: float | None, message: str | None) -> None:
        said.append(message or "")

    async def logged(params: Any) -> None:
        said.append(str(params.data))

    async with gateway.client(mode="legacy", logging_callback=logged) as client:
        await client.set_logging_level("debug")
        result = wire(await client.call_tool("bossy__chat", {}, progress_callback=progress))
    assert said
    assert WISH not in " ".join(said)
    assert result["_meta"]["muxi/instructions"]["passages"] == 2


async def test_what_a_server_asks_in_mid_call_is_looked_at(gateway: Gateway):
    asked: list[str] = []

    class HeardError(Exception):
        """Enough was heard."""

    async def answer(_context: Any, params: Any) -> Any:
        asked.append(params.message)
        raise HeardError

    with suppress(ExceptionGroup, HeardError):
        async with gateway.client(elicitation_callback=answer) as client:
            await client.call_tool("bossy__ask", {})
    assert asked
    assert WISH not in " ".join(asked)


async def test_what_is_cut_and_read_on_does_not_hold_it_either(tmp_path: Path):
    async with gateway_of(tmp_path / "home", max_result_bytes=2048) as gateway, gateway.client() as client:
        result = wire(await client.call_tool("bossy__long", {}))
        rest = result["_meta"]["muxi/rest"][0]
        shown, offset = "", 0
        while offset < rest["characters"]:
            part = await client.call_tool("muxi__result_read", {"uri": rest["uri"], "offset": offset})
            shown += part.content[0].text
            offset = part.structured_content.get("next_offset", rest["characters"])
    assert WISH not in shown
    assert HONEST in shown


async def test_no_tool_and_no_resource_gives_it_out(gateway: Gateway):
    async with gateway.client() as client:
        result = wire(await client.call_tool("bossy__plain", {}))
        uri = result["_meta"]["muxi/instructions"]["withheld"][0]
        with pytest.raises(MCPError, match="withheld"):
            await client.call_tool("muxi__result_read", {"uri": uri})
        with pytest.raises(MCPError, match="withheld"):
            await client.read_resource(uri)


async def test_a_person_reads_it_whole_and_the_journal_has_who(gateway: Gateway, tmp_path: Path):
    async with gateway.client() as client:
        result = wire(await client.call_tool("bossy__plain", {}))
    task, name = NAME.findall(result["content"][0]["text"])[0]
    async with gateway.http() as http:
        listed = (await http.get(f"/control/tasks/{task}/withheld")).json()["withheld"]
        shown = (await http.get(f"/control/tasks/{task}/withheld/{name}")).json()
    assert [one["name"] for one in listed] == [name]
    assert ORDER in shown["text"]
    assert told(tmp_path / "home", "withheld.read")["name"] == name


async def test_a_service_and_another_user_do_not_read_it(tmp_path: Path):
    async with gateway_of(tmp_path / "home", require_key="always") as gateway:
        keys = gateway.runtime.keys
        keys.users.add("robot", Role.SERVICE)
        keys.users.add("eve", Role.USER)
        robot, eve = keys.create("robot")[1], keys.create("eve")[1]
        async with gateway.client(key=robot) as client:
            result = wire(await client.call_tool("bossy__plain", {}))
        task, name = NAME.findall(result["content"][0]["text"])[0]
        async with gateway.http(robot) as http:
            assert (await http.get(f"/control/tasks/{task}/withheld/{name}")).status_code == 403
        async with gateway.http(eve) as http:
            assert (await http.get(f"/control/tasks/{task}/withheld/{name}")).status_code == 404


@pytest.mark.parametrize("options", [{}, {"labels": {"all": []}}])
async def test_a_result_that_is_not_untrusted_is_not_looked_at(tmp_path: Path, options: dict[str, Any]):
    tool = "plain" if options else "near"
    async with gateway_of(tmp_path / "home", overrides={"bossy": options}) as gateway, gateway.client() as client:
        result = wire(await client.call_tool(f"bossy__{tool}", {}))
    assert result["content"][0]["text"] == TEXT
    assert "muxi/instructions" not in result.get("_meta", {})


async def test_an_operator_can_let_a_server_s_instructions_pass(tmp_path: Path):
    overrides = {"bossy": {"results": {"instructions": "pass"}}}
    async with gateway_of(tmp_path / "home", overrides=overrides) as gateway, gateway.client() as client:
        result = await client.call_tool("bossy__plain", {})
    assert result.content[0].text == TEXT


async def test_marked_passages_are_told_from_the_rest_and_stay(tmp_path: Path):
    overrides = {"bossy": {"results": {"instructions": "mark"}}}
    async with gateway_of(tmp_path / "home", overrides=overrides) as gateway, gateway.client() as client:
        result = await client.call_tool("bossy__structured", {})
        plain = await client.call_tool("bossy__plain", {})
    before, _, after = plain.content[0].text.partition(ORDER)
    assert f"{len(ORDER)} characters of bossy follow" in before
    assert f"[end of these {len(ORDER)} characters]" in after
    assert result.structured_content == {"kind": "book", "body": TEXT}
    assert told(tmp_path / "home")["instructions"] == "mark"


async def test_what_stands_in_its_place_is_no_instruction_itself(gateway: Gateway):
    async with gateway.client() as client:
        first = await client.call_tool("bossy__plain", {})
        again = await client.call_tool("bossy__said", {"text": first.content[0].text})
    assert again.content[0].text == first.content[0].text
