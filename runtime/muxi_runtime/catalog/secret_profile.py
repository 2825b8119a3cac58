"""What a server may do with a secret: to which hosts its value goes, and where in a request it stands.

    secrets:
      GITHUB_TOKEN: {hosts: ["api.github.com:443"], places: [header]}

The sandbox gets a placeholder in the variable of that name; the egress proxy puts the value in. A profile and the
operator's settings both use this model.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from muxi_sandbox.contract import SecretPlace
from muxi_sandbox.egress.names import HostRule, parse_authority, parse_rule, permits

__all__ = ["SecretProfile", "hosts_of", "permitted", "wrong_secrets"]

NAME = re.compile(r"[A-Z][A-Z0-9_]{0,63}")
HTTPS = 443


class SecretProfile(BaseModel):
    """One secret of one server."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    hosts: tuple[str, ...] = Field((), description="hosts that get the value; without a port, 443")
    places: tuple[SecretPlace, ...] = Field(
        ("header",), description="where in a request it may stand: header, path, query, body"
    )
    expose: Literal["env"] | None = Field(
        None, description="env: the value itself is given to the server, in place of a placeholder"
    )


def hosts_of(use: SecretProfile) -> tuple[tuple[str, int], ...]:
    """Canonical hosts and ports. Raises ValueError as `parse_authority`."""
    parsed = (parse_authority(text) for text in use.hosts)
    return tuple((host, port or HTTPS) for host, port in parsed)


def permitted(use: SecretProfile, allow: Sequence[str]) -> SecretProfile:
    """The same for those of its hosts that the server may connect to at all."""
    rules = tuple(map(parse_rule, allow))
    hosts = [text for text in use.hosts if _is_permitted(text, rules)]
    return use.model_copy(update={"hosts": tuple(hosts)})


def wrong_secrets(secrets: Mapping[str, SecretProfile], allow: Sequence[str], where: str) -> Iterator[str]:
    """What is wrong with them, a line each; `where` is their place in the file, `allow` hosts that are well-formed."""
    rules = tuple(map(parse_rule, allow))
    for name, use in secrets.items():
        if not NAME.fullmatch(name):
            yield f"{where}: {name[:70]!r} is no name: capital letters, digits and _, the first a letter."
        if use.expose and use.hosts:
            yield f"{where}.{name}: give either `hosts` or `expose: env`."
        if not use.places:
            yield f"{where}.{name}.places: name at least one."
        for text in use.hosts:
            yield from (f"{where}.{name}.hosts: {reason}" for reason in _wrong_host(text, rules))


def _wrong_host(text: str, rules: tuple[HostRule, ...]) -> Iterator[str]:
    try:
        parse_authority(text)
    except ValueError as error:
        yield f"{text!r} is no host: {error}."
        return
    if not _is_permitted(text, rules):
        yield f"{text!r} is not among the hosts that the server may connect to: name it in network.allow too."


def _is_permitted(text: str, rules: tuple[HostRule, ...]) -> bool:
    host, port = parse_authority(text)
    return permits(rules, host, port or HTTPS)
