"""The server `openapi` as a process, in front of a small API that is its proxy as well."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from api_document import described, text_of
from mcp import Client, StdioServerParameters
from mcp_types import CallToolResult
from pet_store import KEY, PetStore, pet_store
from servers_harness import text_of as words

pytestmark = pytest.mark.timeout(60)

ORIGIN = "http://pets.example.com:8080"


@pytest.fixture
def store() -> Iterator[PetStore]:
    with pet_store() as store:
        yield store


@pytest.fixture
async def client(store: PetStore, tmp_path: Path) -> AsyncIterator[Client]:
    file = tmp_path / "api.json"
    file.write_bytes(described(text_of("pets.yaml", origin=ORIGIN), "pets").content)
    environment = {**os.environ, "HTTP_PROXY": store.origin, "HTTPS_PROXY": store.origin, "PETS_API_KEY": KEY}
    command = ["-P", "-m", "muxi_servers.openapi", "--document", str(file)]
    async with Client(StdioServerParameters(command=sys.executable, args=command, env=environment)) as client:
        yield client


async def data(client: Client, tool: str, /, **arguments: Any) -> dict[str, Any]:
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content
    assert result.structured_content
    return result.structured_content


async def refusal(client: Client, tool: str, /, **arguments: Any) -> str:
    result: CallToolResult = await client.call_tool(tool, arguments)
    assert result.is_error
    return words(result)


async def test_tools_say_what_they_do_and_that_they_reach_a_host(client: Client) -> None:
    tools = {tool.name: tool for tool in (await client.list_tools()).tools}
    assert len(tools) == 9
    hints = tools["deletePet"].annotations
    assert hints is not None
    assert (hints.read_only_hint, hints.destructive_hint, hints.open_world_hint) == (False, True, True)
    shows = tools["dry_run_pets"].annotations
    assert shows is not None
    assert (shows.read_only_hint, shows.open_world_hint) == (True, False)


async def test_a_call_is_the_request_that_the_document_describes(client: Client, store: PetStore) -> None:
    found = await data(client, "listPets", limit=3, tags=["a b", "c&d"], filter={"name": "é"})
    assert store.lines() == ["GET /v1/pets?limit=3&tags=a%20b&tags=c%26d&filter%5Bname%5D=%C3%A9"]
    assert store.received[0].headers["Host"] == "pets.example.com:8080"
    assert store.received[0].headers["X-Api-Key"] == KEY
    assert found["data"]["items"][0] == {"id": "0", "name": "Ada"}
    assert (found["status"], found["pages"], found["more"], found["text"]) == (200, 1, True, None)


async def test_bodies_go_as_json_or_as_a_form(client: Client, store: PetStore) -> None:
    made = await data(client, "createPet", body={"name": "Fips", "tag": None})
    assert made["data"] == {"id": "new", "name": "Fips", "tag": None}
    gone = await data(client, "replacePet", petId="a/b?c", body={"name": "a&b"}, **{"If-Match": '"1"'})
    assert (gone["status"], gone["data"]) == (204, None)
    post, put = store.received
    assert (post.headers["Content-Type"], post.body) == ("application/json", b'{"name":"Fips","tag":null}')
    assert put.line == "PUT /v1/pets/a%2Fb%3Fc"
    assert (put.headers["Content-Type"], put.body) == ("application/x-www-form-urlencoded", b"name=a%26b")
    assert put.headers["If-Match"] == '"1"'


async def test_pages_are_followed_by_a_cursor_as_far_as_wanted(client: Client, store: PetStore) -> None:
    found = await data(client, "listPets", pages=2)
    assert [pet["name"] for pet in found["data"]["items"]] == ["Ada", "Bello", "Cleo", "Dora"]
    assert (found["pages"], found["more"]) == (2, True)
    found = await data(client, "listPets", pages=20)
    assert len(found["data"]["items"]) == 5
    assert (found["pages"], found["more"]) == (3, False)
    assert store.lines()[-1] == "GET /v1/pets?cursor=4"


async def test_pages_are_followed_by_links_of_the_same_host(client: Client, store: PetStore) -> None:
    found = await data(client, "readLog", pages=5)
    assert found["note"] == "the next page is at another host, and is not followed"
    assert found["data"] == ["event 1"]  # the store names itself by its own address, the document by another
    found = await data(client, "readLog", page=2, pages=5)
    assert found["data"] == ["event 2", "event 3"]
    assert found["more"] is False
    assert store.lines()[-1] == "GET /v1/log?page=3"


async def test_an_answer_that_is_not_as_described_comes_as_text(client: Client) -> None:
    found = await data(client, "showPet", petId="odd")
    assert found["data"] is None
    assert found["text"] == '{"name": 7}'
    assert "not as the API's document has it: the body.name must be a string" in found["note"]


async def test_an_answer_that_is_no_text_comes_as_a_file(client: Client) -> None:
    result = await client.call_tool("showPet", {"petId": "picture"})
    assert result.content[0].type == "resource"
    assert "5 bytes of image/png" in str(result.content[1])


async def test_an_error_has_the_words_of_the_api(client: Client) -> None:
    said = await refusal(client, "showPet", petId="Zeus")
    assert said == (
        f"GET {ORIGIN}/v1/pets/Zeus answered 404 Not Found. title: No such pet; detail: There is no pet 'Zeus'."
    )


async def test_another_host_is_not_followed(client: Client, store: PetStore) -> None:
    said = await refusal(client, "elsewhere")
    assert "answered 302 Found" in said
    assert "which is not followed: http://evil.example/v1/pets" in said
    assert store.lines() == ["GET /v1/elsewhere"]


async def test_an_answer_without_end_is_cut(client: Client) -> None:
    found = await data(client, "flood")
    assert found["truncated"] is True
    assert len(found["text"]) == 100_000


async def test_bad_arguments_are_refused_before_anything_is_sent(client: Client, store: PetStore) -> None:
    assert "limit must be at most 100" in await refusal(client, "listPets", limit=1000)
    assert "petId is missing" in await refusal(client, "showPet")
    assert "which leads elsewhere" in await refusal(client, "showPet", petId="..")
    assert "petId is empty" in await refusal(client, "showPet", petId="")
    assert "printable ASCII on one line" in await refusal(client, "replacePet", petId="a", **{"If-Match": "a\r\nX: y"})
    assert "nothing is not known" in await refusal(client, "listPets", nothing=1)
    assert store.received == []


async def test_a_request_is_shown_without_being_sent(client: Client, store: PetStore) -> None:
    found = await data(client, "dry_run_pets", tool="createPet", arguments={"body": {"name": "Fips"}})
    assert (found["method"], found["url"], found["body"]) == ("POST", f"{ORIGIN}/v1/pets", '{"name":"Fips"}')
    assert {"name": "X-Api-Key", "value": "<PETS_API_KEY>"} in found["headers"]
    assert KEY not in str(found)
    assert "petId is missing" in await refusal(client, "dry_run_pets", tool="showPet")
    assert "no tool 'none'" in await refusal(client, "dry_run_pets", tool="none")
    assert store.received == []


async def test_a_call_that_is_cancelled_lets_the_connection_go(client: Client, store: PetStore) -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(client.call_tool, "showPet", {"petId": "slow"})
        await anyio.to_thread.run_sync(store.waiting.wait)
        group.cancel_scope.cancel()
    await anyio.to_thread.run_sync(store.released.wait)
    assert (await data(client, "showPet", petId="Ada"))["data"]["name"] == "Ada"


async def test_without_a_network_it_says_who_can_allow_it(tmp_path: Path) -> None:
    file = tmp_path / "api.json"
    file.write_bytes(described(text_of("pets.yaml", origin=ORIGIN), "pets").content)
    environment = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
    command = ["-P", "-m", "muxi_servers.openapi", "--document", str(file)]
    async with Client(
        StdioServerParameters(command=sys.executable, args=command, env={**environment, "PETS_API_KEY": KEY})
    ) as client:
        said = await refusal(client, "listPets")
        assert "pets.example.com:8080 cannot be reached" in said
        assert 'An operator can allow it: add "pets.example.com:8080" to servers.pets.network.allow' in said
    async with Client(StdioServerParameters(command=sys.executable, args=command, env=environment)) as client:
        assert "given no secret PETS_API_KEY" in await refusal(client, "listPets")
