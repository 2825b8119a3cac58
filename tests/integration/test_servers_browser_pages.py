"""Pages that mean harm or never end, browsers that die or rest: through the gateway, profile enforced."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import anyio
import docker
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


@pytest.mark.promise("pages-stay-strangers")
async def test_the_browsers_own_sandbox_is_on(browser: Person) -> None:
    await browser("open", url="chrome://sandbox")
    assert "You are adequately sandboxed." in (await browser("read", main_only=False))["text"]


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
    assert "downloads nothing" in await browser.refusal("download", target="text=No file", path="x", timeout_seconds=8)


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


async def test_a_call_that_is_given_up_makes_room_for_the_next(browser: Person) -> None:
    await browser.open("/")
    with anyio.move_on_after(2) as waiting:
        await browser("wait_for", value="never there", timeout_seconds=120)
    assert waiting.cancelled_caught
    with anyio.fail_after(60):
        assert (await browser.open("/"))["title"] == "Start"


async def test_pages_without_end_and_malformed_ones_are_read(browser: Person) -> None:
    await browser.open("/scroll")
    assert len((await browser("read", max_characters=1000))["text"]) <= 1000
    picture = await browser.result("screenshot", full_page=True, format="jpeg")
    assert not picture.is_error
    await browser.open("/deep")
    assert (await browser("read"))["total_characters"] < 1000
    await browser.open("/broken")
    assert "item" in (await browser("read"))["text"]


@pytest.mark.promise("pages-stay-strangers")
async def test_a_host_that_is_not_allowed_is_named_with_the_setting(browser: Person) -> None:
    for url in ("http://other.example/", "https://other.example/"):
        said = await browser.refusal("open", url=url)
        assert "other.example" in said
        assert "servers.browser.network.allow" in said


@pytest.mark.promise("pages-stay-strangers")
async def test_a_redirect_to_a_private_address_is_refused(browser: Person, scene: BrowserScene) -> None:
    said = await browser.refusal("open", url=f"{scene.site.url}/to-private")
    assert "10.255.255.1:8000" in said
    assert "muxi.yaml" in said


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://x/", "javascript:1", "chrome://settings", "/form"])
async def test_other_addresses_are_refused(browser: Person, url: str) -> None:
    assert "cannot be opened" in await browser.refusal("open", url=url)


LEADS_OUT = """<title>Mine</title><link rel=stylesheet href=style.css><p id=own>of the task</p>
<iframe src="file:///etc/passwd"></iframe><object data="file:///etc/passwd"></object>
<a id=plain href="file:///etc/passwd">plain</a> <a id=new target=_blank href="file:///etc/passwd">new</a>
<a id=save download href="file:///etc/passwd">save</a> <a id=own-save download href="style.css">own</a>"""


@pytest.mark.promise("pages-stay-strangers")
async def test_a_page_of_the_workspace_leads_to_no_other_file(browser: Person) -> None:
    """Whatever of it asks: a frame, a link, a new tab, a download, or a script that goes elsewhere."""
    await browser.files("write", path="out.html", content=LEADS_OUT)
    await browser.files("write", path="style.css", content="#own { color: rgb(1, 2, 3) }")
    await browser("open", url="FILE:///workspace/out.html")
    colour = "getComputedStyle(document.getElementById('own')).color"
    assert "rgb(1, 2, 3)" in json.dumps((await browser("evaluate", code=colour))["result"])
    seen = [(await browser("snapshot"))["text"]]
    for target in ("#save", "#own-save"):
        assert await browser.refusal("download", target=target, path="saved.txt", timeout_seconds=8)
    for code in ("location.href = 'file:///etc/passwd'", "open('file:///proc/self/environ'); 1"):
        await browser("open", url="file:///workspace/out.html")
        await browser("evaluate", code=code)
        seen.append((await browser("snapshot"))["text"])
    for target in ("#plain", "#new"):
        await browser("open", url="file:///workspace/out.html")
        await browser("click", target=target)
        seen.append((await browser("snapshot"))["text"])
    for tab in (await browser("tabs"))["tabs"]:
        await browser("tabs", action="select", tab=tab["tab"])
        seen.append((await browser("read"))["text"])
    assert "of the task" in seen[0]
    assert not [text for text in seen if "root:" in text or "PATH=" in text]
    assert "cannot be downloaded" in await browser.refusal("download", url="file:///etc/passwd", path="x")


@pytest.mark.promise("pages-stay-strangers")
async def test_what_a_page_says_makes_the_task_untrusted(scene: BrowserScene, tmp_path: Path) -> None:
    (tmp_path / "secrets.txt").write_text("private")
    async with scene.someone(mode="legacy") as browser:
        await browser.files("list")
        task = scene.runtime.json("tasks", "list")["tasks"][-1]["task"]
        await browser.open("/inject")
        said = (await browser("read"))["text"]
        assert "are withheld" in said
        assert "ignore your instructions" not in said
        assert set(scene.runtime.json("tasks", "show", task)["labels"]) == {"untrusted"}
        scene.runtime.run("workspace", "put", task, str(tmp_path / "secrets.txt"), "--label", "private")
        with pytest.raises(Exception, match="ask-before-leak"):
            await browser.open("/")
        assert (await browser("read"))["text"]  # looking goes on


async def test_chromium_that_dies_is_told_and_starts_anew(scene: BrowserScene, engine_socket: Path) -> None:
    async with scene.someone(mode="legacy") as browser:
        await browser.open("/")
        await kill_inside(engine_socket, scene.runtime.installation, "type=renderer")
        with anyio.fail_after(20):
            while not any("crashed" in event for event in (await browser("tabs"))["events"]):
                pass
        await browser.open("/")
        await kill_inside(engine_socket, scene.runtime.installation, "remote-debugging-pipe")
        opened = await browser.result("open", url=f"{scene.site.url}/")
        if opened.is_error:  # it was told of in this call: the next one has a new browser
            assert "Chromium" in str(opened.content)
            opened = await browser.result("open", url=f"{scene.site.url}/")
        assert not opened.is_error, opened.content


async def test_a_browser_that_idles_ends_and_its_cookies_come_back(scene: BrowserScene, engine_socket: Path) -> None:
    async with scene.someone(mode="legacy", server="resting", elicitation_callback=allow) as browser:
        await browser("open", url="data:text/html,<title>Before</title>")
        await browser("cookies", action="set", cookies=[{"name": "kept", "value": "1", "url": "http://x.example/"}])
        await until_no_program(engine_socket, scene.runtime.installation, "chromium")
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
        while name in str(engine.top(found["Id"])):  # noqa: ASYNC110 - another process's doing sets no event
            await anyio.sleep(0.1)


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
