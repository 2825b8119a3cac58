"""Which tools may be offered: those that are as they were accepted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from muxi_runtime.catalog.pin_book import CHANGED, NEW, OTHER_SERVER, REJECTED, PinBook
from muxi_runtime.catalog.pin_store import PinRecord, PinState, PinStore
from muxi_runtime.catalog.pins import PinKind
from muxi_runtime.errors import ToolBlockedError
from muxi_runtime.gateway.tools import ToolBook
from muxi_runtime.store.engine import open_store

pytestmark = pytest.mark.promise("a-changed-tool-waits")

SERVER = "notes"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[PinStore]:
    engine = open_store(tmp_path)
    yield PinStore(engine)
    engine.dispose()


class World:
    """A server whose identity a test may change."""

    def __init__(self, store: PinStore) -> None:
        self.image = "sha256:1"
        self.store = store
        self.book = PinBook(
            store,
            is_trusted=lambda name: name == "files",
            was_added=lambda name: name == "added",
            identity=lambda _: self.image,
        )

    def waiting(self) -> PinRecord:
        return next(record for record in self.store.all(SERVER) if record.state is not PinState.ACCEPTED)


@pytest.fixture
def world(store: PinStore) -> World:
    return World(store)


def tool(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "description": f"{name}s", "inputSchema": {"type": "object"}, **more}


READ, WRITE = tool("read"), tool("write")


def test_a_server_of_the_operators_is_accepted_as_it_is_first_seen(world: World) -> None:
    assert world.book.judge(SERVER, [READ, WRITE]) == {}
    assert [(r.tool, r.state) for r in world.store.all(SERVER)] == [
        ("read", PinState.ACCEPTED),
        ("write", PinState.ACCEPTED),
    ]


@pytest.mark.parametrize(
    "changed",
    [
        tool("read", description="reads, and sends it on"),
        tool("read", title="Read"),
        tool("read", inputSchema={"type": "object", "properties": {"note": {"type": "string"}}}),
        tool("read", outputSchema={"type": "object"}),
        tool("read", annotations={"readOnlyHint": True}),
        tool("read", _meta={"vendor/x": 1}),
        tool("read", icons=[]),
    ],
)
def test_any_change_blocks_that_tool_alone(world: World, changed: dict[str, Any]) -> None:
    world.book.judge(SERVER, [READ, WRITE])
    assert world.book.judge(SERVER, [changed, WRITE]) == {"read": CHANGED}


def test_a_new_tool_and_a_renamed_one_wait(world: World) -> None:
    world.book.judge(SERVER, [READ, WRITE])
    assert world.book.judge(SERVER, [READ, tool("rewrite")]) == {"rewrite": NEW}


def test_the_same_tools_from_another_image_wait(world: World) -> None:
    world.book.judge(SERVER, [READ])
    world.image = "sha256:2"
    assert world.book.judge(SERVER, [READ]) == {"read": OTHER_SERVER}


def test_the_order_of_fields_is_no_change(world: World) -> None:
    world.book.judge(SERVER, [READ])
    assert world.book.judge(SERVER, [dict(reversed(READ.items()))]) == {}


def test_what_a_person_accepts_is_offered(world: World) -> None:
    world.book.judge(SERVER, [READ])
    later = tool("read", title="Read")
    world.book.judge(SERVER, [later])
    assert world.store.accept(world.waiting())
    world.book.load()
    assert world.book.judge(SERVER, [later]) == {}
    assert world.book.judge(SERVER, [READ]) == {"read": CHANGED}


def test_what_a_person_rejects_stays_away_until_it_changes(world: World) -> None:
    world.book.judge(SERVER, [READ])
    world.book.judge(SERVER, [tool("read", title="Read")])
    assert world.store.reject(world.waiting())
    world.book.load()
    assert world.book.judge(SERVER, [tool("read", title="Read")]) == {"read": REJECTED}
    assert world.book.judge(SERVER, [tool("read", title="Reads")]) == {"read": CHANGED}
    assert world.book.judge(SERVER, [READ]) == {}


def test_what_was_shown_is_what_is_accepted(world: World) -> None:
    world.book.judge(SERVER, [READ])
    world.book.judge(SERVER, [tool("read", title="Harmless")])
    shown = world.waiting()
    world.book.judge(SERVER, [tool("read", title="Harmful")])
    assert not world.store.accept(shown)
    assert world.book.judge(SERVER, [tool("read", title="Harmful")]) == {"read": CHANGED}


def test_an_added_server_that_showed_no_tools_cannot_bring_them_in_later(world: World) -> None:
    world.store.accept_all("added", {PinKind.TOOL: []}, world.image)
    world.book.load()
    assert world.book.judge("added", []) == {}
    assert world.book.judge("added", [READ]) == {"read": NEW}
    assert [record.state for record in world.store.all("added")] == [PinState.OFFERED]


def test_a_server_that_comes_with_the_runtime_needs_no_pins(world: World) -> None:
    world.book.judge("files", [READ])
    assert world.book.judge("files", [tool("read", title="Read")]) == {}
    assert world.store.all() == []


def test_a_prompt_and_a_template_wait_as_a_tool_does_and_are_told_apart_by_their_kind(world: World) -> None:
    prompt = {"name": "read", "description": "Reads."}
    template = {"uriTemplate": "notes://{day}", "name": "read"}
    world.book.judge(SERVER, [READ])
    assert world.book.judge(SERVER, [prompt], PinKind.PROMPT) == {}
    assert world.book.judge(SERVER, [template], PinKind.TEMPLATE) == {}
    later = {**prompt, "arguments": [{"name": "secret", "required": True}]}
    assert world.book.judge(SERVER, [later], PinKind.PROMPT) == {"read": CHANGED}
    assert world.book.judge(SERVER, [{**template, "name": "note"}], PinKind.TEMPLATE) == {"notes://{day}": CHANGED}
    assert world.book.judge(SERVER, [READ]) == {}
    waiting = next(r for r in world.store.all(SERVER) if r.state is PinState.OFFERED and r.kind is PinKind.PROMPT)
    assert world.store.accept(waiting)
    world.book.load()
    assert world.book.judge(SERVER, [later], PinKind.PROMPT) == {}
    assert world.book.judge(SERVER, [READ]) == {}


def test_an_added_servers_prompts_are_never_accepted_at_first_sight(world: World) -> None:
    assert world.book.judge("added", [{"name": "ask"}], PinKind.PROMPT) == {"ask": NEW}


def test_a_blocked_tool_is_neither_listed_nor_found_and_the_reason_is_told(world: World) -> None:
    tools = ToolBook(world.book.judge)
    tools.set_tools(SERVER, [READ, WRITE])
    tools.set_tools(SERVER, [tool("read", title="Read"), WRITE])
    assert set(tools.servers[SERVER].tools) == {"write"}
    with pytest.raises(ToolBlockedError, match="has changed since it was accepted"):
        tools.find(SERVER, "read")
    assert world.store.accept(world.waiting())
    world.book.load()
    tools.judge_again()
    assert tools.find(SERVER, "read").definition["title"] == "Read"
