"""`muxi-runtime journal trace`: all that belongs to one call, as a tree."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import click
from rich.filesize import decimal
from rich.tree import Tree

from muxi_runtime.cli.context import Invocation
from muxi_runtime.cli.database import opened
from muxi_runtime.cli.output import Output, json_option, plain
from muxi_runtime.journal.chain import to_document
from muxi_runtime.journal.contract import Event
from muxi_runtime.journal.trace import Node
from muxi_runtime.journal.trace import trace as trace_events

__all__ = ["trace"]

Facts = Mapping[str, Any]


@click.command()
@click.argument("wanted", metavar="ID")
@json_option
@click.pass_obj
def trace(invocation: Invocation, wanted: str, out: Output) -> None:
    """Show what belongs to one call: who asked, what decided, where it ran, what went out, what came of it.

    ID is the number of any event of it, or the id of the call (c-...), of a connection (n-...), of a sandbox, or of a
    whole task (t-...).
    """
    with opened(invocation.settings()) as engine:
        root = trace_events(engine, wanted)
    out.show(_document(root), _tree(root))


def _document(node: Node) -> dict[str, Any]:
    events = [to_document(event) for event in node.events]
    return {"title": node.title, "events": events, "parts": list(map(_document, node.parts))}


def _tree(node: Node) -> Tree:
    tree = Tree(plain(_headline(node), "bold"))
    _grow(tree, node.parts)
    return tree


def _grow(tree: Tree, parts: Iterable[Node]) -> None:
    for part in parts:
        if part.title:
            _grow(tree.add(plain(_headline(part), "bold")), part.parts)
        else:
            tree.add(plain(_line(part)))


def _headline(node: Node) -> str:
    first = node.events[0]
    if not node.title:
        return _line(node)
    what = f" {first.data['server']}.{first.data['tool']}" if "tool" in first.data else ""
    where = f" in task {first.task}" if first.task and not node.title.startswith("task") else ""
    return f"{node.title}:{what} by {first.principal or 'the runtime'}{where}, {first.at}"


def _line(node: Node) -> str:
    first, last = node.events[0], node.events[-1]
    text = _told(first) if first is last else f"{_told(first)}; {_told(last)}"
    return f"{first.seq:>7}  {text}"


def _told(event: Event) -> str:
    try:
        return _KINDS[event.kind](event.data)
    except (KeyError, TypeError):  # a kind of its own, or one that was shortened
        return f"{event.kind} {json.dumps(event.data) if event.data else ''}".rstrip()


def _decided(data: Facts) -> str:
    # Events of earlier versions tell neither.
    groups = f" in {', '.join(data['groups'])}" if data.get("groups") else ""
    who = f", for the role {data['role']}{groups}" if "role" in data else ""
    seen = f", in a task that has seen {' and '.join(data['labels'])} content" if data.get("labels") else ""
    return f"decided: {data['effect']}, by rule {data['rule']}{who}{seen}"


def _answered(data: Facts) -> str:
    return f"a person said {'yes' if data['allowed'] else 'no'}: {data['detail']}"


def _leased(data: Facts) -> str:
    how = "from the warm pool" if data.get("warm") else "made anew"
    return (
        f"sandbox {data['sandbox'][:12]} of {data['server']}, {how} in {data['seconds']:.3f} s, image {data['image']}"
    )


def _finished(data: Facts) -> str:
    reached = f", limits reached: {', '.join(data['limits'])}" if data.get("limits") else ""
    labels = f", labels: {', '.join(data['labels'])}" if data.get("labels") else ""
    orders = _orders(data)
    kind = "an error of the tool's" if data["is_error"] else "a result"
    return f"finished: {kind} of {decimal(data['result_bytes'])} after {data['seconds']:.3f} s{reached}{labels}{orders}"


def _orders(data: Facts) -> str:
    if not data.get("passages"):
        return ""
    done = "marked" if data["instructions"] == "mark" else "withheld"
    return f", {done}: {data['passages']} passages of {data['characters']} characters, for {', '.join(data['rules'])}"


def _connecting(data: Facts) -> str:
    place = f"{data['host']}:{data['port']}"
    if not data["allowed"]:
        return f"connection to {place} refused, by rule {data['rule']}: {data['reason']}"
    several = f" (of one of {len(data['calls'])} calls at work there)" if "calls" in data else ""
    return f"connection to {place} ({data['address']}) allowed, by rule {data['rule']}{several}"


def _closed(data: Facts) -> str:
    up, down = decimal(data["bytes_up"]), decimal(data["bytes_down"])
    return f"{up} out, {down} in, {data['seconds']:.3f} s, then: {data['why']}"


_KINDS: dict[str, Callable[[Facts], str]] = {
    "call.decided": _decided,
    "call.answered": _answered,
    "call.asked": lambda data: f"the server asked the client: {', '.join(data['requests'])}",
    "call.finished": _finished,
    "call.failed": lambda data: (
        f"failed after {data['seconds']:.3f} s: {data['error']}: {data['message']}{_orders(data)}"
    ),
    "call.cancelled": lambda data: f"cancelled after {data['seconds']:.3f} s",
    "call.refused": lambda data: f"refused: {data['message']}",
    "sandbox.leased": _leased,
    "sandbox.paused": lambda data: f"sandbox {data['sandbox'][:12]} was paused",
    "sandbox.resumed": lambda data: f"sandbox {data['sandbox'][:12]} was woken",
    "approval.requested": lambda data: f"a person is asked: {data['approval']}",
    "approval.answered": lambda data: (
        f"{data['approval']} was {'allowed' if data['allowed'] else 'denied'} by {data['by']}"
    ),
    "approval.used": lambda data: f"{data['approval']} allows it, for {data['scope']}",
    "approval.revoked": lambda data: f"{data['approval']} was taken back by {data['by']}",
    "approval.expired": lambda data: f"{data['approval']} ended: {data['why']}",
    "egress.decided": _connecting,
    "egress.closed": _closed,
    "task.ended": lambda data: f"the task ended: {data['reason']}",
}
"""How one event reads."""
