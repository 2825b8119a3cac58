"""`muxi-runtime servers login` and `logout`: a person's own way into a server elsewhere.

The runtime finds out whom to ask and gets the tokens; this command has the browser, and the port that it comes back to.
It holds a code for a moment, and never a token.
"""

from __future__ import annotations

import webbrowser
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import click

from muxi_runtime.cli.loopback import listening
from muxi_runtime.cli.output import Output, json_option
from muxi_runtime.cli.runtime_client import RuntimeClient, with_runtime
from muxi_runtime.cli.terminal import printable

__all__ = ["login", "login_line", "logout"]

HIGHEST_PORT = 65535


@click.command()
@click.argument("name")
@click.option("--user", help="Log in for another user; an operator may.")
@click.option("--scope", "scopes", multiple=True, help="Ask for this beside what the server says that it needs.")
@click.option("--no-browser", is_flag=True, help="Print the address only; open it on this machine.")
@click.option(
    "--port",
    type=click.IntRange(0, HIGHEST_PORT),
    default=0,
    help="Of 127.0.0.1, for the browser to come back to (/callback); absent: a free one.",
)
@click.option("--wait", type=click.FloatRange(1, 600), default=300, show_default=True, help="Seconds, at most.")
@json_option
@with_runtime
def login(
    runtime: RuntimeClient,
    out: Output,
    name: str,
    *,
    user: str | None,
    scopes: tuple[str, ...],
    no_browser: bool,
    port: int,
    wait: float,
) -> None:
    """Log in at a server elsewhere that wants it, in the browser; its tools are called as you from then on."""
    with listening(port) as callback:
        wish: dict[str, Any] = {"server": name, "redirect_uri": callback.uri, "scopes": list(scopes)}
        begun = runtime.post("logins", body=wish | ({"user": user} if user else {}))
        url = str(begun["url"])
        click.echo(printable(f"Log in at {begun['issuer']}:\n{url}"), err=True)
        if not no_browser and not webbrowser.open(url):
            click.echo("No browser could be opened here: open the address yourself, on this machine.", err=True)
        brought = callback.wait(parse_qs(urlsplit(url).query)["state"][0], wait)
    done = runtime.post("logins", str(begun["login"]), body=brought)
    granted = f" for {', '.join(done['scopes'])}" if done["scopes"] else ""
    said = f"{done['user']} is logged in at {name}, by {done['issuer']}{granted}. {_lasts(done)}"
    known = {server["name"]: server for server in runtime.get("servers")["servers"]}
    out.show(done, said + waiting(known.get(name, {})))


@click.command()
@click.argument("name")
@click.option("--user", help="Another user's login; an operator may.")
@json_option
@with_runtime
def logout(runtime: RuntimeClient, out: Output, name: str, *, user: str | None) -> None:
    """Forget a login at a server elsewhere, here and at its authorization server."""
    query = {"user": user} if user else None
    done = runtime.delete("servers", name, "login", query=query)
    said = "is logged out of" if done["was_in"] else "was not logged in at"
    out.show(done, f"{done['user']} {said} {name}.")


def login_line(server: dict[str, Any]) -> str:
    """What `servers list` says of the caller's login; empty where nothing is to be done."""
    state = server.get("login", {}).get("state", "ok")
    if state == "ok":
        return ""
    if state == "unreadable":
        return str(server["login"]["why"])
    what = "You are not logged in" if state == "missing" else "Your login has run out"
    return f"{what}: `muxi-runtime servers login {server['name']}`."


def waiting(server: dict[str, Any]) -> str:
    """What a server has shown for the first time, and nobody has accepted yet; a line of its own, or nothing."""
    blocked, name = server.get("blocked", {}), server.get("name", "")
    if not blocked:
        return ""
    count = "1 tool waits" if len(blocked) == 1 else f"{len(blocked)} tools wait"
    return f"\n{count} to be accepted: `muxi-runtime pins diff {name}`, then `muxi-runtime pins accept {name}`."


def _lasts(done: dict[str, Any]) -> str:
    if done["renews"]:
        return "It is renewed by itself."
    if done["expires_at"] is None:
        return "It does not say how long that lasts."
    moment = datetime.fromtimestamp(done["expires_at"], UTC)
    return f"It lasts until {moment.strftime('%Y-%m-%d %H:%M UTC')}."
