"""`muxi-runtime policy why` and `policy reload`: what decided in the past, and what decides from now on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import click

from muxi_runtime.cli.context import Invocation
from muxi_runtime.cli.database import opened
from muxi_runtime.cli.output import Output, fields, json_option
from muxi_runtime.cli.runtime_client import RuntimeClient, with_runtime
from muxi_runtime.journal.chain import to_document
from muxi_runtime.policy.cedar import CedarPolicy
from muxi_runtime.policy.why import Why
from muxi_runtime.policy.why import why as why_decided

__all__ = ["reload", "why"]


@click.command()
@click.argument("wanted", metavar="EVENT")
@json_option
@click.pass_obj
def why(invocation: Invocation, wanted: str, out: Output) -> None:
    """Say which rule decided what the journal has: EVENT is an event's number, or the id of a call (c-...)."""
    settings = invocation.settings()
    rules = CedarPolicy.load(settings.policy).rules
    with opened(settings) as engine:
        found = why_decided(engine, rules, wanted)
    out.show({"decisions": list(map(_document, found))}, *(part for one in found for part in _shown(one)))


@click.command()
@json_option
@with_runtime
def reload(runtime: RuntimeClient, out: Output) -> None:
    """Have the running runtime take the rules that are on disk now; wrong ones change nothing.

    It looks by itself, too: a file that has changed, and stayed as it is for a second, is taken.
    """
    found = runtime.put("policy")
    verdict = "These rules decide from now on" if found["changed"] else "Nothing has changed"
    out.show(found, f"{verdict}: {found['rules']} of {', '.join(found['files'])}.")


def _document(found: Why) -> dict[str, Any]:
    rule = found.rule
    return {
        "event": to_document(found.event),
        "rule": rule and {"id": rule.id, "file": rule.file, "line": rule.line, "text": rule.text},
        "rules_then": found.then or None,
        "rules_now": found.now,
        "same_rules": found.is_as_it_was,
    }


def _shown(found: Why) -> Iterable[Any]:
    event, rule, data = found.event, found.rule, found.event.data
    yield fields(
        [
            ("event", f"{event.seq} {event.kind}, {event.at}"),
            ("what", _what(data)),
            ("who", event.principal),
            ("decision", data.get("effect") or ("allow" if data.get("allowed") else "deny")),
            ("rule", data.get("rule")),
            ("reason", (rule.reason if rule else "") or data.get("reason") or data.get("message") or None),
            ("rules", _rules(found)),
        ]
    )
    if rule is not None:
        yield f"\n{rule.file}:{rule.line}\n{rule.text}\n"


def _what(data: Any) -> str:  # noqa: ANN401 - JSON values
    if "tool" in data:
        return f"call of {data['server']}.{data['tool']}"
    return f"connection of {data.get('server')} to {data.get('host')}:{data.get('port')}"


def _rules(found: Why) -> str:
    if found.is_as_it_was:
        return "the same as now"
    if not found.then:
        return "not known: the journal does not say which held then"
    gone = "" if found.rule else "; none of this id is there now"
    return f"others than now (changed since){gone}"
