"""The logins that there are, while they are renewed: what comes in or goes out meanwhile."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from sqlalchemy import text

from muxi_runtime.catalog.remote_oauth import RemoteOAuth
from muxi_runtime.errors import RemoteError
from muxi_runtime.gateway.logins.bearer import UserTokens
from muxi_runtime.gateway.logins.book import LoginBook
from muxi_runtime.gateway.logins.challenge import Challenge
from muxi_runtime.gateway.logins.login import Client, Login
from muxi_runtime.gateway.logins.token_endpoint import GrantOverError, Tokens
from muxi_runtime.journal.memory import MemoryJournal
from muxi_runtime.store.engine import open_store
from muxi_runtime.vault.key_file import KeyFile
from muxi_runtime.vault.logins import LoginStore
from muxi_runtime.vault.store import Vault

pytestmark = pytest.mark.timeout(30)

URL = "https://tools.example/mcp"
WHO = ("far", "ada")


class SlowEndpoint:
    """A `TokenEndpoint` that answers when it is let.

    Attributes:
        asked: set when it was.
        may_answer: set it.
        error: what it answers with, in place of tokens.
        revoked: the logins of which it was told.
    """

    def __init__(self) -> None:
        self.asked, self.may_answer = anyio.Event(), anyio.Event()
        self.error: GrantOverError | None = None
        self.revoked: list[Login] = []

    async def refresh(self, login: Login, settings: RemoteOAuth) -> Tokens:
        del login, settings
        self.asked.set()
        await self.may_answer.wait()
        if self.error is not None:
            raise self.error
        return Tokens("old-renewed", "old-more", time.time() + 3600, ())

    async def revoke(self, login: Login, settings: RemoteOAuth) -> bool:
        del settings
        self.revoked.append(login)
        return True


class Scene:
    """A book over a real store."""

    def __init__(self, home: Path) -> None:
        self.engine, key_file = open_store(home), KeyFile(home / "k")
        self.store, self.vault = LoginStore(self.engine, key_file), Vault(self.engine, key_file)
        self.endpoint, self.journal = SlowEndpoint(), MemoryJournal()
        self.book = LoginBook(self.store, self.endpoint, lambda _: RemoteOAuth(), self.journal)
        self.renewed: list[str | None] = []

    async def renew(self) -> None:
        self.renewed.append(await self.book.token(*WHO, URL))

    def kinds(self) -> list[str]:
        return [event.kind for event in self.journal.events]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Scene]:
    scene = Scene(tmp_path)
    yield scene
    scene.engine.dispose()


@pytest.fixture
async def scene(opened: Scene) -> AsyncIterator[Scene]:
    async with opened.journal:
        yield opened


def login(token: str, **fields: Any) -> Login:
    known = {
        "url": URL,
        "resource": URL,
        "issuer": "https://login.example",
        "token_endpoint": "https://login.example/token",
        "client": Client(id="c", how="registered", redirect_uri="http://127.0.0.1:9/callback"),
        "access_token": token,
        "refresh_token": f"{token}-more",
        "expires_at": time.time() + 3600,
    }
    return Login.model_validate({**known, **fields})


@pytest.mark.parametrize("error", [None, GrantOverError("invalid_grant")])
async def test_a_login_that_comes_in_while_the_one_before_is_renewed_stays(scene: Scene, error: GrantOverError | None):
    scene.endpoint.error = error
    await scene.book.keep(*WHO, login("old", expires_at=1.0))
    async with anyio.create_task_group() as group:
        group.start_soon(scene.renew)
        await scene.endpoint.asked.wait()
        await scene.book.forget(*WHO)
        await scene.book.keep(*WHO, login("new"))
        scene.endpoint.may_answer.set()
    found = await scene.book.find(*WHO, URL)
    assert found is not None
    assert (found.access_token, found.refresh_token) == ("new", "new-more")
    assert scene.renewed == ["new"]
    assert scene.kinds() == []


async def test_tokens_that_a_login_got_after_a_logout_are_revoked_and_not_shown(scene: Scene):
    await scene.book.keep(*WHO, login("old", expires_at=1.0))
    async with anyio.create_task_group() as group:
        group.start_soon(scene.renew)
        await scene.endpoint.asked.wait()
        await scene.book.forget(*WHO)
        scene.endpoint.may_answer.set()
    assert await scene.book.find(*WHO, URL) is None
    assert [gone.refresh_token for gone in scene.endpoint.revoked] == ["old-more"]
    assert scene.renewed == [None]


async def test_a_login_is_renewed_while_the_vault_gets_another_key(scene: Scene):
    await scene.book.keep(*WHO, login("old", expires_at=1.0))
    async with anyio.create_task_group() as group:
        group.start_soon(scene.renew)
        await scene.endpoint.asked.wait()
        scene.vault.rotate_key()
        scene.endpoint.may_answer.set()
    assert scene.renewed == ["old-renewed"]
    assert scene.kinds() == ["login.renewed"]
    assert scene.endpoint.revoked == []


async def test_what_a_server_wanted_is_not_what_another_at_its_name_wants(scene: Scene):
    said = Challenge("https://evil.example/metadata")
    await UserTokens(scene.book, *WHO, "https://evil.example/mcp").needed(said)
    assert scene.book.challenge(*WHO, "https://evil.example/mcp") == said
    assert scene.book.challenge(*WHO, URL) is None


async def test_what_a_server_wanted_of_a_user_is_forgotten_with_the_login(scene: Scene):
    for user in ("ada", "bob"):
        await UserTokens(scene.book, "far", user, URL).needed(Challenge(scopes=("write",)))
    await scene.book.forget(*WHO)
    assert scene.book.challenge("far", "ada", URL) is None
    assert scene.book.challenge("far", "bob", URL) is not None


@pytest.mark.parametrize("user", ["ada", None])
async def test_a_login_that_cannot_be_read_after_a_refusal_is_told_as_a_server_out_of_reach(
    scene: Scene, user: str | None
):
    await scene.book.keep(*WHO, login("old"))
    tokens = UserTokens(scene.book, "far", user, URL)
    with scene.engine.begin() as connection:
        connection.execute(text("ALTER TABLE server_logins RENAME TO elsewhere"))
    with pytest.raises(RemoteError, match="'far' cannot be asked"):
        await tokens.needed(Challenge())
