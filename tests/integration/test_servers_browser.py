"""The browser server in its own image, through the gateway: profile enforced, the network by the sandbox's proxy."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Iterator

import mcp_types as types
import pytest
from browser_scene import BrowserScene, Person, browser_scene

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(280)]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory, browser_image: str) -> Iterator[BrowserScene]:
    del browser_image
    with browser_scene(tmp_path_factory.mktemp("browser") / "home") as scene:
        yield scene


@pytest.fixture
async def browser(scene: BrowserScene) -> AsyncIterator[Person]:
    async with scene.someone() as person:
        yield person


async def test_a_page_is_opened_and_read_as_markdown(browser: Person) -> None:
    opened = await browser.open("/")
    assert (opened["status"], opened["title"]) == (200, "Start")
    read = (await browser("read"))["text"]
    for words in (
        "# Welcome",
        "/form), **please**",
        "- one\n- two\n  1. inner",
        "| a\\|b | 3 |",
        "```\nlet x = 1\nlet y",
    ):
        assert words in read
    assert not any(words in read for words in ("unseen", "Menu", "advertisement"))
    assert "advertisement" in (await browser("read", main_only=False))["text"]


async def test_a_text_is_read_in_parts(browser: Person) -> None:
    await browser.open("/")
    whole = await browser("read")
    first = await browser("read", max_characters=100)
    rest = await browser("read", offset=first["next_offset"])
    assert first["text"] + rest["text"] == whole["text"]
    assert rest["next_offset"] is None
    assert first["total_characters"] == len(whole["text"])


async def test_a_form_is_filled_by_references_and_sent(browser: Person) -> None:
    await browser.open("/form")
    names = {"Name": "Ada", "Colour": "Green", "Agree": "true"}
    fields = [{"target": await browser.reference(f'"{name}"'), "value": value} for name, value in names.items()]
    await browser("fill_form", fields=fields)
    await browser("type", target="textarea", text="hello")
    sent = await browser("click", target=await browser.reference('"Send"'))
    assert sent["title"] == "Sent"
    assert "agree=yes, colour=g, name=Ada, note=hello" in (await browser("read"))["text"]
    assert (await browser("history", move="back"))["title"] == "Form"
    assert (await browser("history", move="forward"))["title"] == "Sent"


async def test_an_old_reference_is_refused(browser: Person) -> None:
    await browser.open("/form")
    reference = await browser.reference('"Send"')
    await browser.open("/")
    assert "take a snapshot" in await browser.refusal("click", target=reference)
    assert "is no selector" in await browser.refusal("click", target="p[[")
    assert "fits 2 elements" in await browser.refusal("click", target="main p")


async def test_elements_of_frames_have_references_too(browser: Person) -> None:
    await browser.open("/frames")
    reference = await browser.reference('"Press me"')
    assert reference.startswith("f")
    await browser("click", target=reference)
    assert "Pressed" in (await browser("snapshot"))["text"]
    assert "Words of the frame" in (await browser("read"))["text"]


async def test_pointer_and_keys(browser: Person) -> None:
    await browser.open("/mouse")
    for tool, arguments, said in (
        ("hover", {"target": "#h"}, "pointed at"),
        ("drag", {"source": "#a", "target": "#b"}, "dragged"),
        ("press", {"target": "#k", "key": "ArrowLeft"}, "key ArrowLeft"),
    ):
        await browser(tool, **arguments)
        assert (await browser("evaluate", code="out.textContent"))["result"] == json.dumps(said)
    await browser.open("/form")
    await browser("select", target="select", values=["Green"])
    assert (await browser("evaluate", target="select", code="e => e.value"))["result"] == '"g"'


async def test_files_of_the_workspace_are_uploaded(browser: Person) -> None:
    await browser.files("write", path="in/a.txt", content="first")
    await browser.files("write", path="b.txt", content="second")
    await browser.open("/upload")
    await browser("upload", target="#f", paths=["in/a.txt", "b.txt"])
    await browser("wait_for", value="a.txt:first b.txt:second")
    assert "does not exist" in await browser.refusal("upload", target="#f", paths=["none.txt"])
    assert "outside the workspace" in await browser.refusal("upload", target="#f", paths=["/etc/passwd"])


async def test_an_address_is_downloaded_and_one_without_end_is_not(browser: Person, scene: BrowserScene) -> None:
    await browser.open("/files")
    got = await browser("download", url=f"{scene.site.url}/inner", path="inner.html")
    assert "Press me" in (await browser.files("read", path=got["path"]))["text"]
    for how in ({"target": "text=Get all"}, {"url": f"{scene.site.url}/endless.bin"}):
        assert "more than 3 MiB" in await browser.refusal("download", path="all.bin", max_mib=3, **how)
    assert "HTTP status 404" in await browser.refusal("download", url=f"{scene.site.url}/none", path="none")


async def test_a_service_worker_answers(browser: Person, scene: BrowserScene) -> None:
    await browser.open("/worker")
    await browser("wait_for", value="made by the worker")
    assert "/from-worker" not in scene.site.asked


async def test_dialogs_are_dismissed_unless_told_otherwise(browser: Person) -> None:
    await browser.open("/dialogs")
    clicked = await browser("click", target="#c")
    assert any("confirm 'Sure?': dismissed" in event for event in clicked["events"])
    await browser("dialogs", answer="accept", text="Ada")
    await browser("click", target="#p")
    assert (await browser("evaluate", code="out.textContent"))["result"] == '"Ada"'
    seen = (await browser("dialogs"))["seen"]
    assert [one["answer"] for one in seen[-2:]] == ["dismiss", "accept"]


async def test_pictures_and_prints(browser: Person) -> None:
    await browser.open("/")
    result = await browser.result("screenshot", target="h1")
    image = next(part for part in result.content if isinstance(part, types.ImageContent))
    assert base64.b64decode(image.data).startswith(b"\x89PNG")
    printed = await browser("pdf", path="page.pdf")
    assert printed["size_bytes"] > 1000
    assert (await browser.files("stat", path="page.pdf"))["size_bytes"] == printed["size_bytes"]


async def test_console_and_requests_are_told(browser: Person) -> None:
    await browser.open("/noisy")
    await browser("wait_for", until="loaded")
    messages = (await browser("console", errors_only=True))["messages"]
    assert {"careful", "broken"} <= {message["text"] for message in messages} | {
        word for message in messages for word in message["text"].split()
    }
    requests = (await browser("network", failed_only=True))["requests"]
    assert any(entry["url"].endswith("/picture.png") and entry["status"] == 404 for entry in requests)
    assert any(entry["url"] == "http://other.example/x.png" and entry["status"] == 403 for entry in requests)


async def test_cookies_are_read_set_and_cleared(browser: Person, scene: BrowserScene) -> None:
    await browser.open("/cookie")
    await browser("cookies", action="set", cookies=[{"name": "mine", "value": "2", "url": scene.site.url}])
    found = (await browser("cookies"))["cookies"]
    assert {(one["name"], one["value"]) for one in found} == {("seen", "1"), ("mine", "2")}
    assert (await browser("cookies", action="clear"))["cookies"] == []


async def test_what_is_blocked_is_not_loaded(browser: Person, scene: BrowserScene) -> None:
    before = scene.site.asked.count("/picture.png")
    await browser("block", patterns=["**/*.png"])
    await browser.open("/noisy")
    assert (await browser("block", patterns=[]))["blocked"] >= 1
    assert scene.site.asked.count("/picture.png") == before


async def test_a_file_of_the_workspace_is_opened(browser: Person) -> None:
    await browser.files("write", path="page.html", content="<title>Mine</title><p>of the task")
    assert (await browser("open", url="file:///workspace/page.html"))["title"] == "Mine"
    assert "does not exist" in await browser.refusal("open", url="file:///workspace/none.html")
    assert "out of the workspace" in await browser.refusal("open", url="file:///workspace/../etc/passwd")
