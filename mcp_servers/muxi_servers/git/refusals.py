"""What git says when it fails, as something that a caller can act on."""

from __future__ import annotations

from muxi_servers.kit.errors import ToolError
from muxi_servers.kit.network import reaches_hosts

__all__ = ["check_reachable", "explain", "host_of"]

_SHOWN = 1_000
_DENIED = ("CONNECT tunnel failed, response 403", "HTTP code 403 from proxy", "The requested URL returned error: 403")
_NO_PASSWORD = ("could not read Username", "Authentication failed", "could not read Password")


def host_of(url: str) -> str:
    """The host of a URL, with its port if it has one."""
    return url.partition("://")[2].partition("/")[0]


def _allow(host: str) -> str:
    return (
        f"The operator allows it with `servers.git.network.allow: [{host}]` in muxi.yaml, then `muxi-runtime up` again."
    )


def check_reachable(url: str) -> None:
    """Before git tries.

    Raises:
        ToolError: this sandbox reaches no host at all.
    """
    if not reaches_hosts():
        raise ToolError(f"{host_of(url)} cannot be reached: this server has no network. {_allow(host_of(url))}")


def explain(command: str, stderr: str) -> str:
    """The sentence for the caller."""
    said = stderr.strip()[-_SHOWN:]
    host = host_of(_quoted_url(said))
    if host and any(sign in said for sign in _DENIED):
        return f"{host} was not reached, or refused: {said.splitlines()[-1]}. If it is not allowed: {_allow(host)}"
    if any(sign in said for sign in _NO_PASSWORD):
        return (
            f"{host or 'The host'} wants a password. The operator sets the secret GIT_TOKEN for it, with "
            "`servers.git.secrets` in muxi.yaml and `muxi-runtime secrets set GIT_TOKEN`."
        )
    lines = [line for line in said.splitlines() if not line.startswith("hint:")]
    return f"git {command} failed: " + ("\n".join(lines) or "it gave no reason")


def _quoted_url(said: str) -> str:
    return next((part for part in said.split("'") if part.startswith(("http://", "https://"))), "")
