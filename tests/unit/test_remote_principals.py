"""Whose login a session with a server elsewhere is shown: the task's owner's, and the runtime's for no task alone."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import httpx2
import pytest
from fixture_servers import serve_fixture

from muxi_runtime.errors import RemoteError
from muxi_runtime.gateway.eras import Eras
from muxi_runtime.gateway.handshake import open_session
from muxi_runtime.gateway.remote import Remotes
from muxi_sandbox.contract import Spec

pytestmark = [
    pytest.mark.filterwarnings("ignore::mcp.shared.exceptions.MCPDeprecationWarning"),
    pytest.mark.timeout(60),
]


class NotedCredentials:
    """`Credentials` that are none, and for whom they were asked."""

    def __init__(self) -> None:
        self.asked: list[str | None] = []

    async def headers_for(self, server: str, user: str | None) -> Mapping[str, str]:
        del server
        self.asked.append(user)
        return {}

    def login_for(self, server: str, url: str, user: str | None) -> httpx2.Auth | None:
        del server, url
        self.asked.append(user)
        return None


async def lists(url: str, task: str | None, credentials: NotedCredentials) -> int:
    session = partial(open_session, eras=Eras(), handshake_seconds=20)
    remotes = Remotes(lambda _server, _tool: None, session, credentials)
    async with remotes.lease_session(Spec(task=task, server="far", image=url, command=("none",))) as leased:
        return len(await leased.session.list_tools(seconds=20))


async def test_a_task_that_has_ended_is_not_shown_the_runtime_s_login():
    credentials = NotedCredentials()
    async with serve_fixture("modern") as served:
        with pytest.raises(RemoteError, match="task 'gone' has ended"):
            await lists(served.url, "gone", credentials)
        assert served.headers == []
    assert credentials.asked == []


async def test_tools_are_listed_for_no_task():
    credentials = NotedCredentials()
    async with serve_fixture("modern") as served:
        assert await lists(served.url, None, credentials)
    assert set(credentials.asked) == {None}
