"""`muxi-runtime policy explain`: how one request would be decided, without the runtime."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import click

from muxi_runtime.catalog.secret_profile import hosts_of
from muxi_runtime.cli.arguments import collect
from muxi_runtime.cli.context import Invocation
from muxi_runtime.cli.known_tools import known_definition
from muxi_runtime.cli.output import Output, fields, json_option, plain, table
from muxi_runtime.cli.runtime_client import RuntimeClient, base_url
from muxi_runtime.cli.tasks import declassified_table, withheld_line
from muxi_runtime.config import Settings, read_catalog
from muxi_runtime.identity.principal import LOCAL_USER, Principal
from muxi_runtime.identity.roles import Role
from muxi_runtime.policy.cedar import CedarPolicy
from muxi_runtime.policy.contract import Connection, Effect, Request, SecretUse, ToolCall
from muxi_runtime.policy.explain import Explanation
from muxi_runtime.policy.explain import explain as explain_request
from muxi_runtime.policy.provenance import ORIGINS, Origin
from muxi_sandbox.egress.names import parse_authority, parse_rule, permits

__all__ = ["explain"]

STYLES = {Effect.ALLOW: "bold green", Effect.ASK: "bold yellow", Effect.DENY: "bold red"}
HINTS = ("readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint")
HOST = "muxi"
"""The server of the runtime itself, which no manifest describes."""
UNLISTED = "The runtime has not listed this tool yet: hints not given count as the worst."
UNNAMED = "The list of server {server!r} does not have this host, so it is refused before any rule is asked."


@click.command()
@click.argument("name", metavar="SERVER[.TOOL]")
@click.option("--connect", "place", metavar="HOST:PORT", help="A connection of the server's, instead of a call.")
@click.option("--secret", metavar="NAME", help="With --connect: the use of this secret for that host.")
@click.option("--arg", "texts", multiple=True, metavar="NAME=TEXT", help="An argument.")
@click.option("--json-arg", "values", multiple=True, metavar="NAME=JSON", help="An argument that is not text.")
@click.option("--user", default=LOCAL_USER, show_default=True, help="Who calls.")
@click.option("--key", help="The public id of the API key used.")
@click.option(
    "--role", type=click.Choice([role.value for role in Role]), help="The user's; of `local` owner, else user."
)
@click.option("--group", "groups", multiple=True, help="A group that the user is in.")
@click.option("--label", "labels", multiple=True, help="What the task has seen: private, untrusted.")
@click.option("--task", help="One of your open tasks: its id, and what it has seen.")
@click.option(
    "--runtime-key", envvar="MUXI_KEY", help="For --task: the API key to ask the runtime with. [env: MUXI_KEY]"
)
@click.option(
    "--hint", "hints", multiple=True, metavar="HINT=BOOL", help="What the tool says of itself: readOnlyHint=true."
)
@click.option(
    "--origin", "origins", multiple=True, metavar="NAME=ORIGIN", help="Where an argument's value comes from: user, ..."
)
@click.option("--built-in/--added", default=None, help="Whether the server comes with this runtime.")
@json_option
@click.pass_obj
def explain(  # noqa: PLR0913 - one parameter an option
    invocation: Invocation,
    name: str,
    *,
    place: str | None,
    secret: str | None,
    texts: tuple[str, ...],
    values: tuple[str, ...],
    user: str,
    key: str | None,
    role: str | None,
    groups: tuple[str, ...],
    labels: tuple[str, ...],
    task: str | None,
    runtime_key: str | None,
    hints: tuple[str, ...],
    origins: tuple[str, ...],
    built_in: bool | None,
    out: Output,
) -> None:
    """Say how a call would be decided, by which rule, from which facts, and what would change it.

    With --connect it is a connection of SERVER's that is explained, and with --secret the use of a secret for that
    host; no tool is named then. What a tool says of itself is taken from the runtime's last look at it and from --hint.
    """
    settings = invocation.settings()
    known = Role(role) if role else Role.OWNER if user == LOCAL_USER else Role.USER
    principal = Principal(user, key, known, frozenset(groups))
    seen = RuntimeClient(base_url(settings), runtime_key).get("tasks", task) if task else {}
    carried = frozenset({*labels, *seen.get("labels", ())})
    request: Request
    if place is not None:
        host, port = _place(place)
        whose = _Whose(principal, name, task or "t-1", carried)
        request, notes = _outgoing(settings, whose, host, port, secret)
    elif secret is not None:
        raise click.BadParameter("name the host, too: --connect HOST:PORT", param_hint="--secret")
    else:
        server, tool = _split(name)
        definition = known_definition(settings.home, server, tool)
        request = ToolCall(
            principal=principal,
            server=server,
            tool=tool,
            task=task or "t-1",
            arguments=collect(definition.get("inputSchema", {}), texts, values, None),
            annotations={**definition.get("annotations", {}), **_hints(hints), **_outside(settings, server)},
            labels=carried,
            origins=_origins(origins) if origins else None,
        )
        notes = [] if definition else [UNLISTED]
    own = _built_in_servers(settings)
    request = replace(request, built_in=(request.server in own) if built_in is None else built_in)
    found = explain_request(CedarPolicy.load(settings.policy), request)
    document = {**_explained(found), "labels": seen.get("labels", {}), "declassified": seen.get("declassified", {})}
    out.show(document, *_shown(found), *_seen(seen), *notes)


@dataclass(frozen=True, slots=True)
class _Whose:
    """Whose sandbox goes out."""

    principal: Principal
    server: str
    task: str
    labels: frozenset[str]


def _outgoing(
    settings: Settings, whose: _Whose, host: str, port: int, secret: str | None
) -> tuple[Connection | SecretUse, list[str]]:
    """The connection, or the use of the secret for it, and what is refused before any rule is asked."""
    who, server, task, labels = whose.principal, whose.server, whose.task, whose.labels
    notes = [] if _is_named(settings, server, host, port) else [UNNAMED.format(server=server)]
    if secret is None:
        return Connection(who, server, host, port, task, labels=labels), notes
    return SecretUse(who, server, secret, host, port, task, labels=labels), [
        *notes,
        *_secret_notes(settings, server, secret, (host, port)),
    ]


def _secret_notes(settings: Settings, server: str, secret: str, place: tuple[str, int]) -> Iterable[str]:
    known = read_catalog(settings).servers.get(server)
    use = known.profile.secrets.get(secret) if known else None
    if use is None:
        yield f"The profile of {server!r} has no secret {secret!r}: the value goes nowhere, whatever the rules say."
    elif use.expose:
        yield "The value itself is in the server's environment: no rule is asked when the server uses it."
    elif place not in hosts_of(use):
        yield "The profile does not name this host for the secret: the value does not go there, whatever the rules say."


def _outside(settings: Settings, server: str) -> dict[str, bool]:
    """To call a server elsewhere is to tell it something, whatever it says of its tools."""
    known = read_catalog(settings).servers.get(server)
    return {"openWorldHint": True} if known is not None and known.is_remote else {}


def _seen(task: dict[str, Any]) -> Iterable[Any]:
    if labels := task.get("labels"):
        yield "\nWhat the task has seen"
        yield table(
            ("label", "set by", "why"), [(label, mark["source"], mark["why"]) for label, mark in labels.items()]
        )
    if task:
        yield from declassified_table(task)
        yield from withheld_line(task)


def _place(text: str) -> tuple[str, int]:
    try:
        host, port = parse_authority(text)
    except ValueError as error:
        raise click.BadParameter(f"{text!r}: {error}", param_hint="--connect") from error
    if port is None:
        raise click.BadParameter(f"{text!r} is not like HOST:PORT", param_hint="--connect")
    return host, port


def _is_named(settings: Settings, server: str, host: str, port: int) -> bool:
    """Whether the server's list has it; what it has not is refused before any rule is asked."""
    known = read_catalog(settings).servers.get(server)
    allowed = known.profile.network.allow if known else ()
    return permits(tuple(map(parse_rule, allowed)), host, port)


def _split(name: str) -> tuple[str, str]:
    server, _, tool = name.partition(".")
    if not server or not tool:
        raise click.BadParameter(f"{name!r} is not like SERVER.TOOL", param_hint="SERVER.TOOL")
    return server, tool


def _hints(items: Iterable[str]) -> dict[str, bool]:
    hints: dict[str, bool] = {}
    for item in items:
        name, _, value = item.partition("=")
        if name not in HINTS or value not in {"true", "false"}:
            raise click.BadParameter(
                f"{item!r} is not like {HINTS[0]}=true; hints are {', '.join(HINTS)}", param_hint="--hint"
            )
        hints[name] = value == "true"
    return hints


def _origins(items: Iterable[str]) -> dict[str, Origin]:
    known = {str(origin): origin for origin in ORIGINS}
    origins: dict[str, Origin] = {}
    for item in items:
        name, _, value = item.partition("=")
        if not name or value not in known:
            raise click.BadParameter(
                f"{item!r} is not like to=user; origins are {', '.join(ORIGINS)}", param_hint="--origin"
            )
        origins[name] = known[value]
    return origins


def _built_in_servers(settings: Settings) -> set[str]:
    servers = read_catalog(settings).servers
    return {HOST, *(name for name, server in servers.items() if server.built_in)}


def _explained(found: Explanation) -> dict[str, Any]:
    decision = found.decision
    return {
        "effect": decision.effect,
        "rule": decision.rule,
        "reason": decision.reason,
        "remedy": decision.remedy,
        "rules": [{"id": rule.id, "file": rule.file, "line": rule.line, "text": rule.text} for rule in found.rules],
        "facts": found.facts,
        "changes": [{"what": item.what, "effect": item.effect, "rule": item.rule} for item in found.changes],
    }


def _shown(found: Explanation) -> Iterable[Any]:
    decision = found.decision
    yield fields(
        [
            ("decision", plain(decision.effect.value, STYLES[decision.effect])),
            ("rule", decision.rule),
            ("reason", decision.reason),
            ("remedy", decision.remedy or None),
        ]
    )
    for rule in found.rules:
        yield f"\n{rule.file}:{rule.line}\n{rule.text}"
    yield "\nFacts"
    yield fields([(name, _fact(value)) for name, value in found.facts.items()])
    if found.changes:
        yield "\nWhat would change it"
        rows = [(item.what, plain(item.effect.value, STYLES[item.effect]), item.rule) for item in found.changes]
        yield table(("change", "decision", "rule"), rows)


def _fact(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
