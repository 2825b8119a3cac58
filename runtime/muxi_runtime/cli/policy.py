"""`muxi-runtime policy`: try the rules without the runtime."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from muxi_runtime.cli.arguments import collect
from muxi_runtime.cli.context import Invocation
from muxi_runtime.cli.exit_codes import ExitCode
from muxi_runtime.cli.known_tools import known_definition
from muxi_runtime.cli.output import Output, fields, json_option, mark, plain, table
from muxi_runtime.cli.policy_history import reload, why
from muxi_runtime.cli.policy_learn import learn
from muxi_runtime.cli.runtime_client import RuntimeClient, base_url
from muxi_runtime.config import Settings, read_catalog
from muxi_runtime.identity.principal import LOCAL_USER, Principal
from muxi_runtime.identity.roles import Role
from muxi_runtime.policy.cases import CaseResult, load_cases, run_cases
from muxi_runtime.policy.cedar import CedarPolicy
from muxi_runtime.policy.check import check as check_files
from muxi_runtime.policy.contract import Connection, Effect, Request, ToolCall
from muxi_runtime.policy.explain import Explanation
from muxi_runtime.policy.explain import explain as explain_request
from muxi_runtime.policy.provenance import ORIGINS, Origin
from muxi_sandbox.egress.names import parse_authority, parse_rule, permits

__all__ = ["policy"]

STYLES = {Effect.ALLOW: "bold green", Effect.ASK: "bold yellow", Effect.DENY: "bold red"}
HINTS = ("readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint")
HOST = "muxi"
"""The server of the runtime itself, which no manifest describes."""


@click.group()
def policy() -> None:
    """Check, explain and test the policy."""


@policy.command()
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
@json_option
@click.pass_context
def check(ctx: click.Context, files: tuple[Path, ...], out: Output) -> None:
    """Check FILES, or those of muxi.yaml, or the shipped rules; exit 3 when a rule is wrong."""
    found = check_files(files or ctx.obj.settings().policy.files)
    rows = [
        (
            rule.id,
            "ask" if rule.asks else "permit" if rule.permits else "forbid",
            f"{rule.file}:{rule.line}",
            rule.reason,
        )
        for rule in found.rules.rules.values()
    ]
    document = {
        "ok": found.ok,
        "files": found.files,
        "rules": [dict(zip(("id", "effect", "where", "reason"), row, strict=True)) for row in rows],
        "problems": [{"file": item.file, "line": item.line, "message": item.message} for item in found.problems],
        "notes": found.notes,
    }
    lines = [*map(str, found.problems), *(f"note: {note}" for note in found.notes)]
    verdict = "The rules are right." if found.ok else "The rules cannot be used as they are."
    out.show(document, table(("rule", "effect", "where", "reason"), rows), *lines, verdict)
    if not found.ok:
        ctx.exit(ExitCode.CONFIGURATION)


@policy.command()
@click.argument("name", metavar="SERVER[.TOOL]")
@click.option("--connect", "place", metavar="HOST:PORT", help="A connection of the server's, instead of a call.")
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

    With --connect it is a connection of SERVER's that is explained, and no tool is named. What a tool says of itself is
    taken from the runtime's last look at it, and from --hint.
    """
    settings = invocation.settings()
    known = Role(role) if role else Role.OWNER if user == LOCAL_USER else Role.USER
    principal = Principal(user, key, known, frozenset(groups))
    own = _built_in_servers(settings)
    seen = RuntimeClient(base_url(settings), runtime_key).get("tasks", task)["labels"] if task else {}
    carried = frozenset({*labels, *seen})
    unknown = []
    request: Request
    if place is not None:
        host, port = _place(place)
        request = Connection(principal, name, host, port, task or "t-1", labels=carried)
        if not _is_named(settings, name, host, port):
            unknown = [
                f"The list of server {name!r} does not have this host, so it is refused before any rule is asked."
            ]
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
        if not definition:
            unknown = ["The runtime has not listed this tool yet: hints not given count as the worst."]
    request = replace(request, built_in=(request.server in own) if built_in is None else built_in)
    found = explain_request(CedarPolicy.load(settings.policy), request)
    out.show({**_explained(found), "labels": seen}, *_shown(found), *_seen(seen), *unknown)


@policy.command()
@click.argument("file", type=click.Path(path_type=Path))
@json_option
@click.pass_context
def test(ctx: click.Context, file: Path, out: Output) -> None:
    """Decide every case of a YAML file; exit 1 when one is decided otherwise than it expects."""
    results = run_cases(CedarPolicy.load(ctx.obj.settings().policy), load_cases(file))
    failed = [result for result in results if not result.passed]
    rows = [(mark(result.passed), _title(result), _expected(result), _decided(result)) for result in results]
    counts = f"{len(results) - len(failed)} of {len(results)} cases are decided as expected."
    document = {"ok": not failed, "cases": [_case(result) for result in results]}
    out.show(document, table(("", "case", "expected", "decided"), rows), counts)
    if failed:
        ctx.exit(ExitCode.FAILED)


policy.add_command(why)
policy.add_command(learn)
policy.add_command(reload)


def _outside(settings: Settings, server: str) -> dict[str, bool]:
    """To call a server elsewhere is to tell it something, whatever it says of its tools."""
    known = read_catalog(settings).servers.get(server)
    return {"openWorldHint": True} if known is not None and known.is_remote else {}


def _seen(labels: Mapping[str, Any]) -> Iterable[Any]:
    if labels:
        yield "\nWhat the task has seen"
        yield table(
            ("label", "set by", "why"), [(label, mark["source"], mark["why"]) for label, mark in labels.items()]
        )


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


def _title(result: CaseResult) -> str:
    case = result.case
    return case.name or (f"{case.user} calls {case.tool}" if case.tool else f"{case.server} connects to {case.connect}")


def _expected(result: CaseResult) -> str:
    return f"{result.case.expect.value} by {result.case.rule}" if result.case.rule else result.case.expect.value


def _decided(result: CaseResult) -> str:
    return f"{result.decision.effect.value} by {result.decision.rule}"


def _case(result: CaseResult) -> dict[str, Any]:
    return {
        "name": _title(result),
        "passed": result.passed,
        "expected": result.case.expect,
        "expected_rule": result.case.rule,
        "effect": result.decision.effect,
        "rule": result.decision.rule,
    }
