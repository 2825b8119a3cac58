"""Paths that lead out of the workspace, and things in it that are no files. Attack 11."""

from __future__ import annotations

import ctypes
import os
from collections.abc import AsyncIterator
from pathlib import Path
from threading import Event, Thread
from typing import Any, Self

import anyio
import pytest
from mcp import Client
from servers_harness import local

WAYS_OUT = [
    "../secret",
    "a/../../secret",
    "/etc/passwd",
    "//etc/passwd",
    "/workspace/../etc/passwd",
    "/proc/self/environ",
    "out/secret",
    "out-file",
    "absolute",
    "a/chain",
    "~/secret",
    "~root/../../secret",
    "a\0b",
    "loop",
]
TOOLS: list[tuple[str, dict[str, Any]]] = [
    ("read", {}),
    ("list", {}),
    ("tree", {}),
    ("find", {}),
    ("grep", {"pattern": "."}),
    ("write", {"content": "stolen"}),
    ("write", {"content": "stolen", "mode": "append"}),
    ("write", {"content": "stolen", "mode": "create"}),
    ("edit", {"old_text": "secret", "new_text": "stolen"}),
    ("make_directory", {}),
]


def names(folder: Path) -> list[str]:
    return sorted(one.name for one in folder.iterdir())


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """The folder around the workspace, with what must not be reached."""
    (tmp_path / "secret").write_text("secret")
    work = tmp_path / "work"
    (work / "a").mkdir(parents=True)
    (work / "out").symlink_to("..")
    (work / "out-file").symlink_to("../secret")
    (work / "absolute").symlink_to(tmp_path / "secret")
    (work / "a" / "chain").symlink_to("../out/secret")
    (work / "loop").symlink_to("loop")
    return tmp_path


@pytest.fixture
async def client(outside: Path) -> AsyncIterator[Client]:
    async with Client(local("files", outside / "work")) as client:
        yield client


@pytest.mark.promise("paths-stay-in-workspace")
@pytest.mark.parametrize("path", WAYS_OUT)
async def test_no_tool_reaches_out_of_the_workspace(client: Client, outside: Path, path: str) -> None:
    for tool, more in TOOLS:
        result = await client.call_tool(tool, {"path": path, **more})
        assert "secret" not in str(result.structured_content)
        if path != "~root/../../secret" or tool not in {"write", "make_directory"}:
            assert result.is_error, (tool, result.content)
    assert (outside / "secret").read_text() == "secret"
    assert names(outside) == ["secret", "work"]


@pytest.mark.promise("paths-stay-in-workspace")
@pytest.mark.parametrize("path", ["../secret", "out/secret", "/etc/hostname", "a\0b", "../work2"])
async def test_nothing_is_moved_or_copied_in_or_out(client: Client, outside: Path, path: str) -> None:
    (outside / "work" / "mine").write_text("mine")
    for tool in ("move", "copy"):
        for one, other in ((path, "got"), ("mine", path)):
            result = await client.call_tool(tool, {"source": one, "destination": other, "overwrite": True})
            assert result.is_error, result.content
    assert (await client.call_tool("delete", {"path": path, "recursive": True})).is_error
    assert (outside / "secret").read_text() == "secret"
    assert names(outside) == ["secret", "work"]


@pytest.mark.promise("paths-stay-in-workspace")
async def test_a_link_that_leads_out_is_handled_as_itself(client: Client, outside: Path) -> None:
    result = await client.call_tool("copy", {"source": "out", "destination": "copied"})
    assert not result.is_error
    assert (outside / "work" / "copied").is_symlink()
    for name in ("out", "out-file", "absolute", "copied"):
        assert not (await client.call_tool("delete", {"path": name, "recursive": True})).is_error
    assert (outside / "secret").read_text() == "secret"
    result = await client.call_tool("find", {"pattern": "**/secret"})
    assert result.structured_content
    assert result.structured_content["entries"] == []


@pytest.mark.promise("paths-stay-in-workspace")
async def test_deleting_a_folder_does_not_follow_links_in_it(client: Client, outside: Path) -> None:
    deep = outside / "work" / "d" / "e"
    deep.mkdir(parents=True)
    (deep / "link").symlink_to(outside)
    assert not (await client.call_tool("delete", {"path": "d", "recursive": True})).is_error
    assert (outside / "secret").read_text() == "secret"


class Swapper:
    """Swaps a folder with a link out of the workspace as fast as it can; the exchange is atomic."""

    def __init__(self, work: Path) -> None:
        self._stop = Event()
        self.swaps = 0
        self._thread = Thread(target=self._run, args=(os.fsencode(work),))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self, work: bytes) -> None:
        exchange = ctypes.CDLL(None).renameat2
        while not self._stop.is_set():
            assert exchange(-100, work + b"/swap", -100, work + b"/other", 2) == 0
            self.swaps += 1


@pytest.mark.promise("paths-survive-swapped-links")
async def test_a_link_swapped_in_between_check_and_use_leads_nowhere(client: Client, outside: Path) -> None:
    work = outside / "work"
    (work / "swap" / "inner").mkdir(parents=True)
    (work / "swap" / "secret").write_text("harmless")
    (work / "swap" / "inner" / "x").write_text("harmless")
    (work / "other").symlink_to("..")
    with Swapper(work) as swapper:
        for round_ in range(150):
            read = await client.call_tool("read", {"path": "swap/secret"})
            assert "secret" not in str((read.structured_content or {}).get("text"))
            await client.call_tool("write", {"path": "swap/secret", "content": "harmless"})
            await client.call_tool("write", {"path": f"swap/new{round_}", "content": "x", "mode": "append"})
            await client.call_tool("make_directory", {"path": f"swap/made{round_}/deep"})
            await client.call_tool("copy", {"source": "swap/inner", "destination": f"swap/c{round_}"})
            await client.call_tool("delete", {"path": f"swap/c{round_}", "recursive": True})
            if round_ % 10 == 0:
                found = await client.call_tool("grep", {"pattern": "secret", "path": "swap"})
                assert "'text': 'secret'" not in str(found.structured_content)
    assert swapper.swaps > 100
    assert (outside / "secret").read_text() == "secret"
    assert names(outside) == ["secret", "work"]


@pytest.mark.promise("only-regular-files-opened")
@pytest.mark.parametrize("kind", ["fifo", "device", "socket", "folder"])
async def test_what_is_no_file_is_refused_without_waiting(client: Client, outside: Path, kind: str) -> None:
    path = outside / "work" / "thing"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "device":
        os.mknod(path, 0o20666, os.makedev(1, 5))  # /dev/zero: endless
    elif kind == "socket":
        os.mknod(path, 0o140666)
    else:
        path.mkdir()
    for tool, more in (
        ("read", {}),
        ("edit", {"old_text": "a", "new_text": "b"}),
        ("write", {"content": "x"}),
        ("write", {"content": "x", "mode": "append"}),
    ):
        result = await client.call_tool(tool, {"path": "thing", **more})
        assert result.is_error, (tool, result.content)
    found = await client.call_tool("grep", {"pattern": "."})
    assert found.structured_content
    assert found.structured_content["matches"] == []
    if kind != "folder":
        copied = await client.call_tool("copy", {"source": "thing", "destination": "other"})
        assert copied.is_error


@pytest.mark.promise("slow-expressions-end")
async def test_an_expression_that_never_ends_is_ended_and_others_are_served_meanwhile(
    client: Client, outside: Path
) -> None:
    (outside / "work" / "evil").write_text("a" * 60 + "!")
    order: list[str] = []

    async def search() -> None:
        result = await client.call_tool("grep", {"pattern": "(a+)+$", "path": "evil"})
        assert result.is_error
        assert "longer than 10 s" in str(result.content)
        order.append("search")

    async with anyio.create_task_group() as group:
        group.start_soon(search)
        for pattern in ("evil", "evil!"):
            found = await client.call_tool("grep", {"pattern": pattern, "literal": True})
            assert not found.is_error
            assert not (await client.call_tool("list", {})).is_error
        order.append("others")
    assert order == ["others", "search"]


@pytest.mark.promise("paths-stay-in-workspace")
async def test_a_file_of_a_tebibyte_takes_no_memory(client: Client, outside: Path) -> None:
    with (outside / "work" / "sparse").open("wb") as file:
        file.truncate(2**40)
    for tool, more in (("read", {}), ("edit", {"old_text": "a", "new_text": "b"})):
        result = await client.call_tool(tool, {"path": "sparse", **more})
        assert result.is_error
        assert "bytes" in str(result.content)
    found = await client.call_tool("grep", {"pattern": "x"})
    assert found.structured_content
    assert found.structured_content["files_skipped"] == 1
