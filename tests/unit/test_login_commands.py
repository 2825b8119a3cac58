"""Commands about logins at servers, without a runtime: what goes with a server or a user, and the port that waits."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest
from click.testing import CliRunner

from muxi_runtime.catalog.added import AddedServers
from muxi_runtime.catalog.manifest import Install, Manifest
from muxi_runtime.cli.loopback import listening
from muxi_runtime.cli.main import program
from muxi_runtime.cli.server_logins import login_line, waiting
from muxi_runtime.errors import LoginError
from muxi_runtime.store.engine import open_store
from muxi_runtime.vault.key_file import KeyFile
from muxi_runtime.vault.logins import LoginStore
from muxi_runtime.vault.settings import KEY_FILE


@contextmanager
def store(home: Path) -> Iterator[LoginStore]:
    engine = open_store(home)
    yield LoginStore(engine, KeyFile(home / KEY_FILE))
    engine.dispose()


def run(home: Path, *arguments: str) -> str:
    result = CliRunner().invoke(program, ["--home", str(home), *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_the_logins_at_a_server_go_with_it(tmp_path: Path):
    (tmp_path / "muxi.yaml").write_text("gateway: {port: 1}")
    url = "https://tools.example/mcp"
    AddedServers(tmp_path).put(Manifest(name="far", url=url, install=Install(source=url)), [])
    with store(tmp_path) as logins:
        for server, user in (("far", "ada"), ("far", "bob"), ("near", "ada")):
            logins.put(server, user, "a document")
    run(tmp_path, "servers", "remove", "far")
    with store(tmp_path) as logins:
        assert (logins.users("far"), logins.users("near")) == ([], ["ada"])
    events = run(tmp_path, "journal", "search", "--kind", "server.removed", "--json")
    assert json.loads(events)["data"]["logins"] == ["ada", "bob"]


def test_a_user_s_logins_go_with_the_user(tmp_path: Path):
    run(tmp_path, "users", "add", "ada")
    with store(tmp_path) as logins:
        logins.put("far", "ada", "a document")
        logins.put("far", "bob", "a document")
    run(tmp_path, "users", "remove", "ada")
    with store(tmp_path) as logins:
        assert logins.users("far") == ["bob"]


def test_logins_are_no_secrets_of_the_user_s(tmp_path: Path):
    with store(tmp_path) as logins:
        logins.put("far", "ada", "a document")
    assert json.loads(run(tmp_path, "secrets", "list", "--json")) == {"secrets": []}


def test_the_port_takes_the_one_answer_that_is_waited_for():
    found: list[int] = []
    with listening() as callback:

        def browse() -> None:
            good = f"{callback.uri}?state=s-1&code=c&iss=https%3A%2F%2Fa.example"
            strays = (
                f"{callback.uri}?state=s-2&code=c",
                f"{callback.uri}?code=c",
                f"{good}&state=s-1",
                good.replace("/callback", "/other"),
            )
            found.extend(httpx2.get(url).status_code for url in (*strays, good))

        browser = threading.Thread(target=browse)
        browser.start()
        brought = callback.wait("s-1", 30)
        browser.join(30)
    assert found == [404, 404, 404, 404, 200]
    assert brought == {"state": "s-1", "code": "c", "iss": "https://a.example"}


def test_a_wait_ends_and_a_port_that_is_taken_is_told():
    with listening() as callback:
        with pytest.raises(LoginError, match="Nobody came back"):
            callback.wait("s-1", 0.01)
        with (
            pytest.raises(LoginError, match="cannot be listened on"),
            listening(int(callback.uri.split(":")[2].split("/")[0])),
        ):
            pass


@pytest.mark.parametrize(
    ("blocked", "says"),
    [
        ({}, ""),
        ({"a": "new"}, "\n1 tool waits to be accepted: `muxi-runtime pins diff far`"),
        ({"a": "new", "b": "new"}, "\n2 tools wait to be accepted: `muxi-runtime pins diff far`"),
    ],
)
def test_tools_that_a_login_has_shown_are_said_to_wait(blocked: dict[str, str], says: str):
    assert waiting({"name": "far", "blocked": blocked}).startswith(says)
    assert bool(waiting({"name": "far", "blocked": blocked})) is bool(says)


@pytest.mark.parametrize(
    ("login", "says"),
    [
        ({}, ""),
        ({"login": {"state": "ok"}}, ""),
        ({"login": {"state": "missing"}}, "You are not logged in: `muxi-runtime servers login far`."),
        ({"login": {"state": "over"}}, "Your login has run out: `muxi-runtime servers login far`."),
        ({"login": {"state": "unreadable", "why": "It is damaged."}}, "It is damaged."),
    ],
)
def test_a_list_of_servers_says_what_is_to_be_done(login: dict[str, object], says: str):
    assert login_line({"name": "far", **login}) == says
