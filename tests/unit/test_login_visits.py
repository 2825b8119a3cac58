"""The addresses that calls send users to for a login: for whom, how long, how many."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from muxi_runtime.errors import LoginError, LoginNeededError
from muxi_runtime.gateway.logins.flow import Begun, Returned
from muxi_runtime.gateway.logins.login import Login
from muxi_runtime.gateway.logins.visits import MOST, Visit, Visits
from muxi_runtime.identity.principal import LOCAL, Principal
from muxi_runtime.identity.roles import Role

NEEDED = LoginNeededError("log in", server="far", command="muxi-runtime servers login far")


class Desk:
    """Logs nobody in."""

    def is_by_browser(self, server: str) -> bool:
        return server == "far"

    async def begin(self, server: str, user: str, *, by: str, redirect_uri: str, scopes: Sequence[str]) -> Begun:
        del server, user, by
        return Begun("attempt", f"https://login.example/?to={redirect_uri}", "https://login.example", tuple(scopes))

    async def finish(self, attempt: str, returned: Returned, *, by: str) -> tuple[str, str, Login]:
        raise LoginError(f"nothing came of {attempt} for {by}: {returned.error}")


async def told(_visit: Visit) -> None:
    raise AssertionError("nobody is logged in")


def visits(url: str = "http://127.0.0.1:7890/mcp", seconds: float = 600) -> Visits:
    opened = Visits(Desk(), seconds)
    opened.url_of_runtime = lambda: url
    return opened


@pytest.mark.parametrize("url", ["", "http://0.0.0.0:7890/mcp", "http://192.0.2.7/mcp", "http://gateway.example/mcp"])
def test_nobody_is_sent_where_others_can_listen(url: str):
    assert visits(url).offer(NEEDED, LOCAL, told) is None


def test_a_public_address_is_used_by_https():
    opened = visits("https://gateway.example/mcp")
    visit = opened.offer(NEEDED, Principal("ada"), told)
    assert visit is not None
    assert opened.url(visit) == f"https://gateway.example/login/{visit.id}"


def test_an_address_is_good_for_a_while():
    opened = visits(seconds=0)
    visit = opened.offer(NEEDED, LOCAL, told)
    assert visit is not None
    assert opened.find(visit.id) is None
    assert visit.over.is_set()


@pytest.mark.parametrize("principal", [Principal("robot", role=Role.SERVICE), Principal("eve", role=Role.AUDITOR)])
def test_who_may_not_log_in_gets_none(principal: Principal):
    assert visits().offer(NEEDED, principal, told) is None


def test_a_server_that_nobody_logs_in_at_gets_none():
    other = LoginNeededError("log in", server="machine", command="")
    assert visits().offer(other, LOCAL, told) is None


def test_all_users_together_hold_only_so_many():
    opened = visits()
    given = [opened.offer(NEEDED, Principal(f"user-{number}"), told) for number in range(MOST + 1)]
    assert given[MOST - 1] is not None
    assert given[MOST] is None


async def test_it_begins_once():
    opened = visits()
    visit = opened.offer(NEEDED, LOCAL, told)
    assert visit is not None
    assert (await opened.begin(visit)).endswith("to=http://127.0.0.1:7890/callback")
    with pytest.raises(LoginError, match="used"):
        await opened.begin(visit)


async def test_a_login_that_came_to_nothing_is_over_and_tells_nobody():
    opened = visits()
    visit = opened.offer(NEEDED, LOCAL, told)
    assert visit is not None
    await opened.begin(visit)
    with pytest.raises(LoginError, match="nothing came"):
        await opened.finish("attempt", Returned(error="access_denied"))
    assert visit.over.is_set()
    assert opened.find(visit.id) is None


@pytest.mark.parametrize("attempt", ["", "another"])
async def test_an_attempt_that_is_no_visit_s_counts_for_none(attempt: str):
    opened = visits()
    opened.offer(NEEDED, LOCAL, told)
    with pytest.raises(LoginError, match="No login has begun"):
        await opened.finish(attempt, Returned())
