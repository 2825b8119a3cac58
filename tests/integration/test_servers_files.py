"""The files server, through the SDK's client."""

from __future__ import annotations

import base64
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from servers_harness import local, text_of

PNG = b"\x89PNG\r\n\x1a\nrest"


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    async with Client(local("files", tmp_path)) as client:
        yield client


async def call(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content
    assert result.structured_content
    return result.structured_content


async def refusal(client: Client, tool: str, **arguments: Any) -> str:
    result = await client.call_tool(tool, arguments)
    assert result.is_error, result.content
    return text_of(result)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def paths(listing: dict[str, Any]) -> list[str]:
    return [entry["path"] for entry in listing["entries"]]


async def test_what_was_written_is_read(client: Client, tmp_path: Path) -> None:
    wrote = await call(client, "write", path="a/b/ü.txt", content="eins\nzwei\n")
    assert wrote == {"path": "a/b/ü.txt", "created": True, "written_bytes": 10, "size_bytes": 10}
    read = await call(client, "read", path="/workspace/a/b/ü.txt")
    assert read["text"] == "eins\nzwei\n"
    assert (read["first_line"], read["last_line"], read["total_lines"], read["truncated"]) == (1, 2, 2, False)
    assert (tmp_path / "a/b/ü.txt").stat().st_mode & 0o777 == 0o644


async def test_writing_again_replaces_and_keeps_the_permissions(client: Client, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("old")
    (tmp_path / "f").chmod(0o750)
    assert (await call(client, "write", path="f", content="new"))["created"] is False
    assert (tmp_path / "f").read_text() == "new"
    assert (tmp_path / "f").stat().st_mode & 0o777 == 0o750
    assert names(tmp_path) == ["f"]


async def test_create_leaves_an_existing_file_alone(client: Client, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("old")
    assert "exists already" in await refusal(client, "write", path="f", content="new", mode="create")
    assert (tmp_path / "f").read_text() == "old"


async def test_append_adds_to_the_end(client: Client, tmp_path: Path) -> None:
    await call(client, "write", path="f", content="a", mode="append")
    assert (await call(client, "write", path="f", content="b", mode="append"))["size_bytes"] == 2
    assert (tmp_path / "f").read_text() == "ab"


async def test_bytes_are_written_and_read_in_base64(client: Client, tmp_path: Path) -> None:
    data = bytes(range(256))
    await call(client, "write", path="f", content=base64.b64encode(data).decode(), encoding="base64")
    assert (tmp_path / "f").read_bytes() == data
    result = await client.call_tool("read", {"path": "f"})
    resource = result.content[1].resource
    assert base64.b64decode(resource.blob) == data
    assert str(resource.uri) == "file:///workspace/f"
    assert "not base64" in await refusal(client, "write", path="g", content="$$$", encoding="base64")
    assert not (tmp_path / "g").exists()


async def test_an_image_is_returned_to_look_at(client: Client, tmp_path: Path) -> None:
    (tmp_path / "named.txt").write_bytes(PNG)
    result = await client.call_tool("read", {"path": "named.txt"})
    assert result.content[1].type == "image"
    assert result.content[1].mime_type == "image/png"


@pytest.mark.parametrize(
    ("start", "count", "text", "first", "last", "truncated"),
    [(1, 2, "1\n2\n", 1, 2, True), (3, 1, "3\n", 3, 3, True), (4, 9, "4\n5", 4, 5, False), (9, 9, "", 0, 0, True)],
)
async def test_lines_can_be_picked(
    client: Client,
    tmp_path: Path,
    start: int,
    count: int,
    text: str,
    first: int,
    last: int,
    truncated: bool,  # noqa: FBT001 - a table
) -> None:
    (tmp_path / "f").write_text("1\n2\n3\n4\n5")
    read = await call(client, "read", path="f", start_line=start, max_lines=count)
    assert (read["text"], read["first_line"], read["last_line"], read["total_lines"]) == (text, first, last, 5)
    assert read["truncated"] is truncated


async def test_a_big_file_is_read_in_parts(client: Client, tmp_path: Path) -> None:
    lines = [f"line {number}\n" for number in range(400_000)]
    (tmp_path / "f").write_text("".join(lines))
    read = await call(client, "read", path="f", start_line=300_001, max_lines=2)
    assert read["text"] == "".join(lines[300_000:300_002])
    assert read["total_lines"] == 400_000
    cut = await call(client, "read", path="f", max_bytes=12)
    assert (cut["text"], cut["last_line"], cut["truncated"]) == ("line 0\nline ", 2, True)


async def test_bytes_that_are_no_text_are_replaced_and_counted(client: Client, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"a\xffb\xfe\n")
    read = await call(client, "read", path="f")
    assert (read["text"], read["replaced"]) == ("a\ufffdb\ufffd\n", 2)


async def test_utf_16_is_understood(client: Client, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("äb\n", encoding="utf-16")
    assert (await call(client, "read", path="f"))["text"] == "äb\n"


async def test_an_edit_replaces_exactly_and_shows_the_difference(client: Client, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"one\r\ntwo\r\nthree\r\n")
    edited = await call(client, "edit", path="f", old_text="two", new_text="TWO")
    assert (tmp_path / "f").read_bytes() == b"one\r\nTWO\r\nthree\r\n"
    assert "-two\r\n+TWO\r" in edited["diff"]


async def test_an_edit_that_is_not_unique_is_refused_unless_all_are_meant(client: Client, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("x y x")
    assert "2 times" in await refusal(client, "edit", path="f", old_text="x", new_text="z")
    assert "not in f" in await refusal(client, "edit", path="f", old_text="q", new_text="z")
    assert "same" in await refusal(client, "edit", path="f", old_text="x", new_text="x")
    assert (tmp_path / "f").read_text() == "x y x"
    assert (await call(client, "edit", path="f", old_text="x", new_text="z", replace_all=True))["replacements"] == 2
    assert (tmp_path / "f").read_text() == "z y z"


async def test_an_edit_of_what_is_no_text_is_refused(client: Client, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"x\xff")
    assert "not UTF-8 (byte 1)" in await refusal(client, "edit", path="f", old_text="x", new_text="y")


async def test_folders_are_listed_and_shown_as_a_tree(client: Client, tmp_path: Path) -> None:
    (tmp_path / "d" / "e").mkdir(parents=True)
    (tmp_path / "d" / "f").write_text("abc")
    (tmp_path / "l").symlink_to("/etc")
    os.mkfifo(tmp_path / "p")
    listed = await call(client, "list")
    assert [(entry["path"], entry["kind"]) for entry in listed["entries"]] == [
        ("d", "folder"),
        ("l", "link"),
        ("p", "fifo"),
    ]
    assert paths(await call(client, "list", path="d")) == ["d/e", "d/f"]
    result = await client.call_tool("tree", {})
    assert text_of(result) == "d/\n  e/\n  f  3 bytes\nl  link\np  fifo"
    few = await call(client, "tree", max_entries=2)
    assert (paths(few), few["complete"]) == (["d", "d/e"], False)


async def test_files_are_found_by_name_kind_and_size(client: Client, tmp_path: Path) -> None:
    (tmp_path / "src" / "deep").mkdir(parents=True)
    for name, size in (("src/a.py", 10), ("src/deep/b.py", 2_000), ("src/c.txt", 10)):
        (tmp_path / name).write_text("x" * size)
    assert paths(await call(client, "find", pattern="*.py")) == ["src/a.py", "src/deep/b.py"]
    assert paths(await call(client, "find", pattern="*.py", min_bytes=100)) == ["src/deep/b.py"]
    assert paths(await call(client, "find", kind="folder")) == ["src", "src/deep"]
    assert paths(await call(client, "find", path="src", pattern="*/*.py")) == ["src/deep/b.py"]
    assert paths(await call(client, "find", max_bytes=10, kind="file")) == ["src/a.py", "src/c.txt"]


async def test_lines_are_found_with_what_is_around_them(client: Client, tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "f.py").write_text("one\nTwo\nthree\n")
    (tmp_path / "d" / "binary").write_bytes(b"two\0")
    found = await call(client, "grep", pattern="t[wx]o", ignore_case=True, context=1)
    assert found == {
        "matches": [{"path": "d/f.py", "line": 2, "text": "Two", "before": ["one"], "after": ["three"]}],
        "files_searched": 1,
        "files_skipped": 1,
        "complete": True,
    }
    assert (await call(client, "grep", pattern="o", path="d/f.py", max_matches=1))["complete"] is False
    assert (await call(client, "grep", pattern=".", path="d", glob="*.txt"))["files_searched"] == 0
    assert (await call(client, "grep", pattern="t[", literal=True))["matches"] == []
    assert "not a regular expression" in await refusal(client, "grep", pattern="t[")


async def test_things_are_moved_and_copied(client: Client, tmp_path: Path) -> None:
    await call(client, "write", path="a/f", content="x")
    (tmp_path / "a" / "l").symlink_to("f")
    copied = await call(client, "copy", source="a", destination="new/b")
    assert (copied["files"], copied["bytes"]) == (1, 1)
    assert (tmp_path / "new" / "b" / "l").is_symlink()
    await call(client, "move", source="new/b", destination="c")
    assert (tmp_path / "c" / "f").read_text() == "x"
    assert not (tmp_path / "new" / "b").exists()
    assert "exists already" in await refusal(client, "copy", source="a/f", destination="c/f")
    await call(client, "copy", source="a/f", destination="c/f", overwrite=True)
    assert "is a folder already" in await refusal(client, "move", source="a/f", destination="c", overwrite=True)
    assert "into itself" in await refusal(client, "move", source="a", destination="a/b")
    assert "into itself" in await refusal(client, "copy", source="a", destination="a/b")


async def test_deleting_takes_what_is_named_and_no_more(client: Client, tmp_path: Path) -> None:
    await call(client, "write", path="a/f", content="x")
    (tmp_path / "l").symlink_to("a")
    assert (await call(client, "delete", path="l"))["kind"] == "link"
    assert "not empty" in await refusal(client, "delete", path="a")
    await call(client, "delete", path="a", recursive=True)
    assert names(tmp_path) == []
    assert "does not exist" in await refusal(client, "delete", path="a")
    for path in (".", "/workspace", "x/.."):
        await refusal(client, "delete", path=path, recursive=True)
    assert names(tmp_path) == []


async def test_a_folder_of_any_depth_is_deleted(client: Client, tmp_path: Path) -> None:
    folder = os.open(tmp_path, os.O_RDONLY)
    for _ in range(2_000):
        os.mkdir("d", dir_fd=folder)
        inner = os.open("d", os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = inner
    os.close(folder)
    await call(client, "delete", path="d", recursive=True)
    assert names(tmp_path) == []


async def test_a_folder_is_made_with_those_above_it(client: Client, tmp_path: Path) -> None:
    assert (await call(client, "make_directory", path="x/y"))["created"] is True
    assert (await call(client, "make_directory", path="x/y"))["created"] is False
    (tmp_path / "f").touch()
    assert "is a file already" in await refusal(client, "make_directory", path="f")


async def test_stat_tells_of_a_link_itself(client: Client, tmp_path: Path) -> None:
    (tmp_path / "l").symlink_to("/etc/passwd")
    told = await call(client, "stat", path="l")
    assert (told["kind"], told["target"], told["size_bytes"]) == ("link", "/etc/passwd", 0)
    (tmp_path / "f").write_text("abc")
    os.utime(tmp_path / "f", (0, 0))
    told = await call(client, "stat", path="f")
    assert (told["size_bytes"], told["modified"], told["permissions"]) == (3, "1970-01-01T00:00:00Z", "644")


async def test_a_name_that_is_no_text_does_not_break_a_listing(client: Client, tmp_path: Path) -> None:
    os.close(os.open(os.fsencode(tmp_path) + b"/bad\xff", os.O_CREAT))
    assert len((await call(client, "list"))["entries"]) == 1
