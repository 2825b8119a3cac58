"""The browser server in its own image, through the gateway: profile enforced, the network by the sandbox's proxy."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import docker
import mcp_types as types
import pytest
from browser_site import BrowserSite, browser_site
from mcp import Client
from running import Running, running_runtime

from muxi_sandbox.docker.images import ImageStore
from muxi_sandbox.docker.settings import EngineSettings

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(280)]

ADDRESS = "127.0.0.9"
RESTING = {
    "name": "resting",
    "image": "build:browser",
    "command": ["python3", "-I", "-m", "muxi_servers.browser"],
    "init": False,
    "environment": {"BROWSER_IDLE_SECONDS": "1"},
    "profile": {"workspace": "write", "limits_class": "browser", "seccomp": "browser"},
}
"""The same server with less patience."""


@pytest.fixture(scope="module")
def browser_image(engine_socket: Path) -> str:
    async def ensure() -> str:
        async with ImageStore(EngineSettings(socket=engine_socket)) as images:
            return await images.ensure("browser", print)

    return anyio.run(ensure)


@pytest.fixture(scope="module")
def site() -> Iterator[BrowserSite]:
    with browser_site(ADDRESS) as site:
        yield site


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory, site: BrowserSite, browser_image: str) -> Iterator[Running]:
    del browser_image
    home = tmp_path_factory.mktemp("browser") / "home"
    home.mkdir()
    (home / "resting.yaml").write_text(json.dumps(RESTING))
    servers = {"browser": {"network": {"allow": [site.place]}}, "resting": {"manifest": "resting.yaml"}}
    with running_runtime(home, {"egress": {"private": [site.place]}, "servers": servers}) as running:
        yield running


class Person:
    """Calls tools of the browser; all tests have one task, and so one Chromium."""

    def __init__(self, client: Client, site: BrowserSite, server: str = "browser") -> None:
        self._client = client
        self._server = server
        self.site = site

    async def result(self, tool: str, **arguments: Any) -> types.CallToolResult:
        return await self._client.call_tool(f"{self._server}__{tool}", arguments)

    async def __call__(self, tool: str, **arguments: Any) -> dict[str, Any]:
        result = await self.result(tool, **arguments)
        assert not result.is_error, result.content
        assert result.structured_content
        return result.structured_content

    async def refusal(self, tool: str, **arguments: Any) -> str:
        result = await self.result(tool, **arguments)
        assert result.is_error, result.content
        return "\n".join(part.text for part in result.content if isinstance(part, types.TextContent))

    async def open(self, path: str, **more: Any) -> dict[str, Any]:
        return await self("open", url=f"{self.site.url}{path}", **more)

    async def reference(self, words: str) -> str:
        """Of the first line of a snapshot that has these words."""
        text = (await self("snapshot"))["text"]
        line = next(line for line in text.splitlines() if words in line and "[ref=" in line)
        return str(line.partition("[ref=")[2].partition("]")[0])

    async def files(self, tool: str, **arguments: Any) -> dict[str, Any]:
        result = await self._client.call_tool(f"files__{tool}", arguments)
        assert not result.is_error, result.content
        return dict(result.structured_content or {})


@asynccontextmanager
async def someone(runtime: Running, site: BrowserSite, **options: Any) -> AsyncIterator[Person]:
    server = options.pop("server", "browser")
    async with runtime.client(**options) as client:
        yield Person(client, site, server)


@pytest.fixture
async def browser(runtime: Running, site: BrowserSite) -> AsyncIterator[Person]:
    async with someone(runtime, site) as person:
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


@pytest.mark.promise("pages-stay-strangers")
async def test_the_browsers_own_sandbox_is_on(browser: Person) -> None:
    await browser("open", url="chrome://sandbox")
    assert "You are adequately sandboxed." in (await browser("read", main_only=False))["text"]


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


@pytest.mark.promise("pages-stay-strangers")
async def test_a_download_comes_by_the_tool_alone(browser: Person) -> None:
    await browser.open("/files")
    clicked = await browser("click", target="text=Get it")
    await browser("wait_for", until="text", value="No file")
    events = [*clicked["events"], *(await browser("tabs"))["events"]]
    assert any("download of 'it.bin' was refused" in event for event in events)
    got = await browser("download", target="text=Get it", path="got/it.bin")
    assert (got["path"], got["size_bytes"], got["name"]) == ("got/it.bin", 8, "it.bin")
    assert (await browser.files("read", path="got/it.bin"))["text"] == "the file"
    assert "exists already" in await browser.refusal("download", target="text=Get it", path="got/it.bin")
    assert "downloads nothing" in await browser.refusal("download", target="text=No file", path="x")


async def test_an_address_is_downloaded_and_one_without_end_is_not(browser: Person, site: BrowserSite) -> None:
    await browser.open("/files")
    got = await browser("download", url=f"{site.url}/inner", path="inner.html")
    assert "Press me" in (await browser.files("read", path=got["path"]))["text"]
    for how in ({"target": "text=Get all"}, {"url": f"{site.url}/endless.bin"}):
        assert "more than 3 MiB" in await browser.refusal("download", path="all.bin", max_mib=3, **how)
    assert "HTTP status 404" in await browser.refusal("download", url=f"{site.url}/none", path="none")


async def test_a_service_worker_answers(browser: Person, site: BrowserSite) -> None:
    await browser.open("/worker")
    await browser("wait_for", value="made by the worker")
    assert "/from-worker" not in site.asked


async def test_dialogs_are_dismissed_unless_told_otherwise(browser: Person) -> None:
    await browser.open("/dialogs")
    clicked = await browser("click", target="#c")
    assert any("confirm 'Sure?': dismissed" in event for event in clicked["events"])
    await browser("dialogs", answer="accept", text="Ada")
    await browser("click", target="#p")
    assert (await browser("evaluate", code="out.textContent"))["result"] == '"Ada"'
    seen = (await browser("dialogs"))["seen"]
    assert [one["answer"] for one in seen[-2:]] == ["dismiss", "accept"]


@pytest.mark.promise("pages-stay-strangers")
async def test_a_page_that_asks_for_ever_is_closed(browser: Person) -> None:
    await browser.open("/")
    await browser.result("open", url=f"{browser.site.url}/dialog-loop", new_tab=True, timeout_seconds=20)
    listed = await browser("tabs")
    assert not any(tab["title"] == "Loop" for tab in listed["tabs"])
    assert (await browser.open("/"))["title"] == "Start"


@pytest.mark.promise("pages-stay-strangers")
async def test_popups_without_end_are_bounded(browser: Person) -> None:
    opener = (await browser.open("/popups"))["tab"]
    await browser("click", target="text=Many")
    listed = (await browser("tabs"))["tabs"]
    assert 1 < len(listed) <= 10
    for tab in (await browser("tabs", action="close", tab=opener))["tabs"]:
        await browser("tabs", action="close", tab=tab["tab"])
    assert "call open" in await browser.refusal("read")


async def test_a_page_that_never_ends_loading_is_shown_as_far_as_it_came(browser: Person) -> None:
    opened = await browser.open("/slow", timeout_seconds=3)
    assert any("still loads" in event for event in opened["events"])
    assert "as far as it came" in (await browser("read"))["text"]
    assert "did not answer within 2 s" in await browser.refusal(
        "open", url=f"{browser.site.url}/silent", timeout_seconds=2
    )


@pytest.mark.promise("pages-stay-strangers")
async def test_a_page_that_spins_does_not_stop_the_browser(browser: Person) -> None:
    await browser.open("/spin")
    clicked = await browser.result("click", target="button")
    assert clicked.content
    assert "longer than" in await browser.refusal("evaluate", code="1", timeout_seconds=1)
    number = (await browser.open("/", new_tab=True))["tab"]
    listed = (await browser("tabs"))["tabs"]
    for tab in listed:
        if tab["tab"] != number:
            await browser("tabs", action="close", tab=tab["tab"])
    assert (await browser.open("/"))["title"] == "Start"


@pytest.mark.promise("pages-stay-strangers")
async def test_a_page_of_100_mb_is_bounded(browser: Person) -> None:
    await browser.open("/huge", timeout_seconds=60)
    read = await browser("read", max_characters=100)
    assert "# Beginning" in read["text"]
    assert 100_000 < read["total_characters"] <= 2_001_000
    assert read["next_offset"] == 100


async def test_pages_without_end_and_malformed_ones_are_read(browser: Person) -> None:
    await browser.open("/scroll")
    assert len((await browser("read", max_characters=1000))["text"]) <= 1000
    picture = await browser.result("screenshot", full_page=True, format="jpeg")
    assert not picture.is_error
    await browser.open("/deep")
    assert (await browser("read"))["total_characters"] < 1000
    await browser.open("/broken")
    assert "item" in (await browser("read"))["text"]


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


async def test_cookies_are_read_set_and_cleared(browser: Person, site: BrowserSite) -> None:
    await browser.open("/cookie")
    await browser("cookies", action="set", cookies=[{"name": "mine", "value": "2", "url": site.url}])
    found = (await browser("cookies"))["cookies"]
    assert {(one["name"], one["value"]) for one in found} == {("seen", "1"), ("mine", "2")}
    assert (await browser("cookies", action="clear"))["cookies"] == []


async def test_what_is_blocked_is_not_loaded(browser: Person, site: BrowserSite) -> None:
    before = site.asked.count("/picture.png")
    await browser("block", patterns=["**/*.png"])
    await browser.open("/noisy")
    assert (await browser("block", patterns=[]))["blocked"] >= 1
    assert site.asked.count("/picture.png") == before


@pytest.mark.promise("pages-stay-strangers")
async def test_a_host_that_is_not_allowed_is_named_with_the_setting(browser: Person) -> None:
    for url in ("http://other.example/", "https://other.example/"):
        said = await browser.refusal("open", url=url)
        assert "other.example" in said
        assert "servers.browser.network.allow" in said


@pytest.mark.promise("pages-stay-strangers")
async def test_a_redirect_to_a_private_address_is_refused(browser: Person, site: BrowserSite) -> None:
    said = await browser.refusal("open", url=f"{site.url}/to-private")
    assert "10.255.255.1:8000" in said
    assert "muxi.yaml" in said


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://x/", "javascript:1", "chrome://settings", "/form"])
async def test_other_addresses_are_refused(browser: Person, url: str) -> None:
    assert "cannot be opened" in await browser.refusal("open", url=url)


async def test_a_file_of_the_workspace_is_opened(browser: Person) -> None:
    await browser.files("write", path="page.html", content="<title>Mine</title><p>of the task")
    assert (await browser("open", url="file:///workspace/page.html"))["title"] == "Mine"
    assert "does not exist" in await browser.refusal("open", url="file:///workspace/none.html")
    assert "out of the workspace" in await browser.refusal("open", url="file:///workspace/../etc/passwd")


@pytest.mark.promise("pages-stay-strangers")
async def test_what_a_page_says_makes_the_task_untrusted(runtime: Running, site: BrowserSite, tmp_path: Path) -> None:
    (tmp_path / "secrets.txt").write_text("private")
    async with someone(runtime, site, mode="legacy") as browser:
        await browser.files("list")
        task = runtime.json("tasks", "list")["tasks"][-1]["task"]
        await browser.open("/inject")
        assert "ignore your instructions" in (await browser("read"))["text"]
        assert set(runtime.json("tasks", "show", task)["labels"]) == {"untrusted"}
        runtime.run("workspace", "put", task, str(tmp_path / "secrets.txt"), "--label", "private")
        with pytest.raises(Exception, match="ask-before-leak"):
            await browser.open("/")
        assert (await browser("read"))["text"]  # looking goes on


async def test_chromium_that_dies_is_told_and_starts_anew(
    runtime: Running, site: BrowserSite, engine_socket: Path
) -> None:
    async with someone(runtime, site, mode="legacy") as browser:
        await browser.open("/")
        await kill_inside(engine_socket, runtime.installation, "type=renderer")
        with anyio.fail_after(20):
            while not any("crashed" in event for event in (await browser("tabs"))["events"]):
                pass
        await browser.open("/")
        await kill_inside(engine_socket, runtime.installation, "remote-debugging-pipe")
        opened = await browser.result("open", url=f"{site.url}/")
        if opened.is_error:  # it was told of in this call: the next one has a new browser
            assert "Chromium" in str(opened.content)
            opened = await browser.result("open", url=f"{site.url}/")
        assert not opened.is_error, opened.content


async def test_a_browser_that_idles_ends_and_its_cookies_come_back(
    runtime: Running, site: BrowserSite, engine_socket: Path
) -> None:
    async with someone(runtime, site, mode="legacy", server="resting", elicitation_callback=allow) as browser:
        await browser("open", url="data:text/html,<title>Before</title>")
        await browser("cookies", action="set", cookies=[{"name": "kept", "value": "1", "url": "http://x.example/"}])
        await until_no_program(engine_socket, runtime.installation, "chromium")
        again = await browser.result("cookies", action="get")
        assert "was ended after 1 s without a call" in str(again.content)
        assert "text/html" in str(again.content)
        assert [one["name"] for one in (again.structured_content or {})["cookies"]] == ["kept"]


async def allow(_context: Any, _params: types.ElicitRequestParams) -> types.ElicitResult:
    return types.ElicitResult(action="accept", content={"allow": True})


async def until_no_program(socket: Path, installation: str, name: str) -> None:
    """Wait until no process of the resting server's sandboxes has that in its command line."""
    labels = {"label": [f"muxi.installation={installation}", "muxi.server=resting"]}
    with docker.APIClient(base_url=f"unix://{socket}", version="auto") as engine:
        (found,) = engine.containers(filters=labels)
        while name in str(engine.top(found["Id"])):
            await anyio.sleep(0.1)  # another process's doing sets no event


async def kill_inside(socket: Path, installation: str, mark: str) -> None:
    """Kill the processes of the youngest browser sandbox whose command line has the mark, from outside."""
    with docker.APIClient(base_url=f"unix://{socket}", version="auto") as engine:
        labels = {"label": [f"muxi.installation={installation}", "muxi.server=browser"]}
        for found in engine.containers(filters=labels):
            command = [
                "sh",
                "-c",
                f"for p in /proc/[0-9]*; do grep -q -- {mark} $p/cmdline && kill -9 ${{p#/proc/}}; done; true",
            ]
            job = engine.exec_create(found["Id"], command, user="65534:65534")
            engine.exec_start(job["Id"])
