"""Parts of the browser server that need no browser."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
import yaml
from servers_harness import MODERN

from muxi_servers.browser import files, schemas, server
from muxi_servers.browser.addresses import page_address
from muxi_servers.browser.browser import Browser
from muxi_servers.browser.engine.happenings import Happenings
from muxi_servers.browser.engine.way_out import why_refused
from muxi_servers.browser.engine.words import cut, explain, is_overtaken, network_error
from muxi_servers.browser.link import Link
from muxi_servers.browser.remote import Remote
from muxi_servers.kit.call import Call
from muxi_servers.kit.codec import decode, encode
from muxi_servers.kit.errors import ToolError
from muxi_servers.kit.launch import Launcher
from muxi_servers.kit.schema import find_error
from muxi_servers.kit.workspace import Workspace

FOLDER = Path(server.__file__).parent
STATE = {"tab": 1, "url": "http://x/", "title": "", "events": []}


def definitions(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, network: bool) -> list[dict[str, object]]:
    monkeypatch.delenv("HTTPS_PROXY", raising=False)
    if network:
        monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    request = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": MODERN}}
    source, told = tmp_path / "in", tmp_path / "out"
    source.write_bytes(encode(request) + b"\n")
    built = server.build(None, Workspace())  # type: ignore[arg-type]  # nothing is started by listing
    with source.open("rb") as reading, told.open("wb") as writing:
        built.serve(reading.fileno(), writing.fileno())
    listed: list[dict[str, object]] = decode(told.read_bytes())["result"]["tools"]
    return listed


def test_the_list_of_tools_is_short_and_every_tool_is_closed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    listed = definitions(monkeypatch, tmp_path, network=False)
    assert len(listed) < 25
    seen_by_a_model = [{name: tool[name] for name in ("name", "description", "inputSchema")} for tool in listed]
    assert len(encode(seen_by_a_model)) < 11_000
    for tool in listed:
        for schema in (tool["inputSchema"], tool["outputSchema"]):
            assert schema["additionalProperties"] is False  # type: ignore[index]


def test_tools_say_that_they_reach_hosts_only_where_there_is_a_way_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def reaching(*, network: bool) -> set[object]:
        tools = definitions(monkeypatch, tmp_path, network=network)
        return {tool["name"] for tool in tools if tool["annotations"]["openWorldHint"]}  # type: ignore[index]

    assert reaching(network=False) == set()
    found = reaching(network=True)
    assert {"open", "history", "click", "type", "evaluate", "download", "upload"} <= found
    assert not {"read", "snapshot", "screenshot", "console", "network", "dialogs"} & found


def test_a_patience_that_is_no_number_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROWSER_IDLE_SECONDS", "soon")
    with pytest.raises(SystemExit, match="BROWSER_IDLE_SECONDS is 'soon'"):
        server.build(None, Workspace())  # type: ignore[arg-type]  # nothing is started by it


def test_the_manifest_asks_for_chromiums_own_sandbox_and_labels_all_it_says() -> None:
    manifest = yaml.safe_load((FOLDER / "manifest.yaml").read_text())
    assert manifest["profile"]["seccomp"] == "browser"
    assert manifest["labels"] == {"all": ["untrusted"]}
    flags = (FOLDER / "engine" / "chromium.py").read_text()
    assert "chromium_sandbox=True" in flags
    assert "--no-sandbox" not in flags


@pytest.mark.parametrize(
    ("error", "said"),
    [
        ("Page.goto: net::ERR_NAME_NOT_RESOLVED at http://x/\nCall log:\n  - navigating", "net::ERR_NAME_NOT_RESOLVED"),
        ("Locator.click: Timeout 10000ms exceeded.\nCall log:\n  - waiting for x\n  - x is hidden", "x is hidden"),
        ("Locator.click: Error: strict mode violation: p resolved to 7 elements", "fits 7 elements"),
        ("Target page, context or browser has been closed", "tab was closed"),
        ("Page.title: Target crashed ", "crashed"),
        ("Locator.fill: " + "long " * 1000, "long"),
    ],
)
def test_what_playwright_says_becomes_a_short_sentence(error: str, said: str) -> None:
    told = explain(Exception(error))
    assert said in told
    assert len(told) <= 600
    assert "Call log" not in told


@pytest.mark.parametrize(
    ("said", "overtaken"),
    [
        ('Navigation to "http://x/" is interrupted by another navigation to "chrome-error://chromewebdata/"', True),
        ("Page.goto: net::ERR_CERT_DATE_INVALID at https://x/?chrome-error://", False),
        ('net::ERR_CERT_DATE_INVALID, is interrupted by another navigation to "chrome-error://chromewebdata/"', False),
        ("Page.goto: Timeout 1ms exceeded.\nCall log:\n  - navigating to https://x/?chrome-error://", False),
        ('Navigation to "http://x/" is interrupted by another navigation to "http://x/?chrome-error://"', False),
    ],
)
def test_only_chromiums_own_page_is_taken_for_a_failure_that_was_not_heard_yet(said: str, *, overtaken: bool) -> None:
    assert is_overtaken(Exception(said)) is overtaken


def test_the_name_of_a_network_error_is_found() -> None:
    assert network_error(Exception("Page.goto: net::ERR_ABORTED at http://x/")) == "ERR_ABORTED"
    assert network_error(Exception("Timeout 1ms exceeded")) == ""
    assert cut("abcdef", 4) == "abc…"


def request(url: str, failure: str = "") -> SimpleNamespace:
    return SimpleNamespace(
        url=url, method="GET", resource_type="image", failure=failure, is_navigation_request=lambda: False
    )


def test_what_happens_is_kept_in_bounded_memory() -> None:
    log = Happenings()
    for number in range(1000):
        log.add(f"{number} " + "x" * 5000)
        log.add_request(1, request(f"http://h{number}.example/" + "x" * 5000))
        log.add_failure(request(f"http://h{number}.example/", "net::ERR_TUNNEL_CONNECTION_FAILED"))
    assert (len(log.requests), len(log.requests[0]["url"])) == (300, 2000)
    events = log.take()
    assert len(events) == 20 + 1 + 5
    assert max(map(len, events)) <= 1000
    assert "980 events more" in events[20]
    assert log.take() == []


def test_a_request_is_told_with_its_outcome() -> None:
    log = Happenings()
    for name in ("a", "b"):
        log.add_request(1, request(f"http://x/{name}"))
    log.add_failure(request("http://x/a", "net::ERR_FAILED"))
    log.add_response(SimpleNamespace(url="http://x/b", status=200, headers={}, request=request("http://x/b")))
    assert [(entry["failure"], entry["status"]) for entry in log.requests] == [("ERR_FAILED", 0), ("", 200)]
    told = {"requests": list(log.requests), "left_out": 0, "events": []}
    assert find_error(told, schemas.NETWORK) is None


@contextmanager
def proxy(answer: bytes) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(answer)
                if b" 200 " in answer:
                    connection.recv(1)  # a tunnel stays open

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread.join(10)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", ""),
        (b"HTTP/1.1 403 Forbidden\r\nX: y\r\n\r\nmuxi-runtime: May not. (rule profile)\n", "May not. (rule profile)"),
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", "The way out of the sandbox refused it."),
        (b"", "The way out of the sandbox refused it."),
    ],
)
def test_the_proxy_is_asked_why(monkeypatch: pytest.MonkeyPatch, answer: bytes, reason: str) -> None:
    with proxy(answer) as place:
        monkeypatch.setenv("HTTPS_PROXY", place)
        assert asyncio.run(why_refused("https://x.example/path")) == reason


def test_a_proxy_that_is_gone_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    assert "does not answer" in asyncio.run(why_refused("http://x.example/"))
    assert asyncio.run(why_refused("about:blank")) == ""


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    (tmp_path / "workspace").mkdir()
    (tmp_path / "made").mkdir()
    return Workspace(str(tmp_path / "workspace"))


def test_files_are_copied_in_under_their_names(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "workspace" / "a.txt").write_text("words")
    (copy,) = files.copy_in(workspace, ["a.txt"], str(tmp_path / "made"))
    assert (Path(copy).name, Path(copy).read_text()) == ("a.txt", "words")


@pytest.mark.parametrize("kind", ["fifo", "link", "folder", "large"])
def test_what_is_no_plain_file_of_it_is_not_uploaded(workspace: Workspace, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "workspace" / "x"
    make: dict[str, Callable[[], object]] = {
        "fifo": lambda: os.mkfifo(path),
        "link": lambda: path.symlink_to("/etc/passwd"),
        "folder": path.mkdir,
        "large": lambda: (path.touch(), os.truncate(path, files.MAX_UPLOAD_BYTES + 1)),
    }
    make[kind]()
    with pytest.raises(ToolError):
        files.copy_in(workspace, ["x"], str(tmp_path / "made"))


def test_a_file_is_put_into_the_workspace_whole_and_never_over_another(workspace: Workspace, tmp_path: Path) -> None:
    def make() -> str:
        (tmp_path / "made" / "f").write_text("new")
        return str(tmp_path / "made" / "f")

    folder, target = str(tmp_path / "made"), tmp_path / "workspace" / "deep" / "f"
    assert files.copy_out(workspace, make(), folder, "deep/f", overwrite=False) == ("deep/f", 3)
    target.write_text("old")
    with pytest.raises(ToolError, match="exists already"):
        files.copy_out(workspace, make(), folder, "deep/f", overwrite=False)
    assert target.read_text() == "old"
    files.copy_out(workspace, make(), folder, "deep/f", overwrite=True)
    assert target.read_text() == "new"
    assert [path.name for path in target.parent.iterdir()] == ["f"]
    assert not any(Path(folder).iterdir())


def test_only_files_of_the_browsers_own_folder_are_taken(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "other").write_text("not the browser's")
    (tmp_path / "made" / "link").symlink_to(tmp_path / "other")
    for name in ("other", "made/../other", "made/link"):
        with pytest.raises(ToolError, match="made no file"):
            files.copy_out(workspace, str(tmp_path / name), str(tmp_path / "made"), "x", overwrite=False)


@pytest.mark.parametrize(
    "url",
    [
        *("file:///etc/passwd", "file:///workspace/../etc/passwd", "FILE:///workspace/../etc/passwd"),
        *(
            "File:///Workspace/../etc/passwd",
            "file:///workspace/%2e%2e/etc/passwd",
            "file:///workspace/%2E./etc/passwd",
        ),
        *("file://localhost/workspace/a", "file:///workspace/\ud800", "file:///workspace/a%00b"),
        *("javascript:1", "chrome://settings", "view-source:file:///workspace/a", "x", ""),
    ],
)
def test_addresses_that_are_no_pages_never_get_to_the_browser(workspace: Workspace, url: str) -> None:
    browser = Browser(None, workspace)  # type: ignore[arg-type]  # is not asked
    with pytest.raises(ToolError):
        browser.open(Call(), {"url": url})


@pytest.mark.parametrize(
    ("url", "name", "address"),
    [
        ("file:///workspace/a%20b.html?x=1#y", "a b.html", "file:///workspace/a%20b.html?x=1#y"),
        ("FILE:///workspace/a.html", "a.html", "file:///workspace/a.html"),
        ("file:///workspace/%252e%252e", "%2e%2e", "file:///workspace/%252e%252e"),
        ("file:///workspace/a%3Fb", "a?b", "file:///workspace/a%3Fb"),
    ],
)
def test_the_address_of_a_file_is_written_anew_from_where_it_leads(
    workspace: Workspace, tmp_path: Path, url: str, name: str, address: str
) -> None:
    (tmp_path / "workspace" / name).write_text("words")
    assert page_address(url, workspace) == address
    assert files.read_page(workspace, address)[1] == b"words"


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://x/", "FILE:///workspace/a", "data:,x", "view-source:x"])
def test_only_what_a_host_sends_is_downloaded(workspace: Workspace, url: str) -> None:
    browser = Browser(None, workspace)  # type: ignore[arg-type]  # is not asked
    with pytest.raises(ToolError, match="cannot be downloaded"):
        browser.save("download")(Call(), {"url": url, "target": "", "path": "x", "overwrite": False})


@pytest.mark.parametrize("target", ["/etc/passwd", "../../../../../../etc/passwd", "/proc/self/environ"])
def test_a_page_of_the_workspace_is_read_through_no_link_out_of_it(
    workspace: Workspace, tmp_path: Path, target: str
) -> None:
    top = tmp_path / "workspace"
    (top / "page").symlink_to(target)
    (top / "up").symlink_to("/etc")
    (top / "inside").symlink_to("real.html")
    (top / "real.html").write_text("words")
    for path in ("page", "up/passwd", "../made", ""):
        with pytest.raises(ToolError):
            files.read_page(workspace, f"file:///workspace/{path}")
    assert files.read_page(workspace, "file:///workspace/inside") == ("text/html; charset=utf-8", b"words")


@pytest.mark.parametrize(
    ("name", "data", "kind"),
    [
        ("a.html", "ü".encode(), "text/html; charset=utf-8"),
        ("a.html", b"\xfc", "text/html"),
        ("a.png", b"\x89PNG", "image/png"),
        ("a", b"\xff", "application/octet-stream"),
    ],
)
def test_a_page_of_the_workspace_has_the_type_of_its_name(
    workspace: Workspace, tmp_path: Path, name: str, data: bytes, kind: str
) -> None:
    (tmp_path / "workspace" / name).write_bytes(data)
    assert files.read_page(workspace, f"file:///workspace/{name}") == (kind, data)


class Ended:
    """A link whose process has ended, and whose folder cannot be removed."""

    def is_alive(self) -> bool:
        return False

    def close(self) -> None:
        raise OSError("busy")


class Stuck(Remote):
    """Its browsers are gone as soon as they are there."""

    def _start(self, call: Call) -> Link:
        del call
        return cast("Link", Ended())


def test_a_browser_that_cannot_be_cleared_away_does_not_keep_the_turn() -> None:
    remote, told = Stuck(cast("Launcher", None), 60.0), {"text": "", "structured": {}}
    assert remote.use(Call(), lambda _: told) == told
    with pytest.raises(OSError, match="busy"):
        remote.use(Call(), lambda _: told)
    call = Call()
    call.cancel()  # so that it waits for no turn
    assert remote.use(call, lambda _: told)["text"].startswith("[Chromium had ended")


def test_replies_fit_their_schemas() -> None:
    assert find_error({**STATE, "status": 200}, schemas.OPENED) is None
    made = {**STATE, "path": "x", "size_bytes": 1}
    assert find_error(made, schemas.MADE) is None
    assert find_error({**made, "name": "x.bin"}, schemas.MADE) is None
