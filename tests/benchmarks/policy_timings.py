"""What a decision costs, and how it grows: with rules, with tools, with arguments that rules read, with the ledger.

`python -m tests.benchmarks.policy_timings [--out FOLDER]`; `make bench-policy` calls it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from muxi_runtime.identity.principal import Principal
from muxi_runtime.policy.cedar import CedarPolicy
from muxi_runtime.policy.contract import ToolCall
from muxi_runtime.policy.provenance import Ledger
from muxi_runtime.policy.rules import parse_rules, read_files

CALLS = 4000
GOAL_MICROSECONDS = 50
SIZES = ((5, 20), (50, 200), (200, 2000), (800, 2000), (200, 8000))
"""Rules beside the shipped ones, and tools that are called in turn."""
READING = 'context.arguments.hasTag("path") && context.arguments.getTag("path").text like "*/secret-{number}/*"'
NAMED = 'forbid (principal, action == Action::"call_tool", resource == Tool::"server{server}.tool{number}")'
ANY = 'forbid (principal, action == Action::"call_tool", resource)'
PRIVATE = 'context.labels.contains("private")'
HINTS = {"readOnlyHint": False, "destructiveHint": True, "openWorldHint": True}
PAGE = "The quick brown fox pays 4711 to GB29 NWBK 6016 1331 9268 19 at www.example.org every day of the week. "


@dataclass(frozen=True)
class Cost:
    """Of one thing, in microseconds."""

    what: str
    p50: float
    p99: float


def main() -> None:
    """Measure, print, and write `policy-timings.json`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("bench-results"), help="where policy-timings.json goes")
    options = parser.parse_args()
    costs = [*_decisions(), *_origins()]
    table = Table("cost in microseconds", "p50", "p99", box=None, header_style="bold", pad_edge=False)
    for cost in costs:
        table.add_row(cost.what, f"{cost.p50:.1f}", f"{cost.p99:.1f}")
    Console(width=120).print(table)
    options.out.mkdir(parents=True, exist_ok=True)
    document = {"goal": GOAL_MICROSECONDS, "costs": [asdict(cost) for cost in costs]}
    (options.out / "policy-timings.json").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def _decisions() -> Iterator[Cost]:
    for rules, tools in SIZES:
        size = f"{rules} rules, {tools} tools"
        about_tools = _policy(rules, NAMED, PRIVATE)
        yield _cost(f"{size}: seen before", about_tools.decide, _calls(tools), warm=tools)
        yield _cost(f"{size}: of a new task", about_tools.decide, _calls(tools, tasks=True), warm=tools)
    rules, tools = SIZES[2]
    for heads, head in (("each about one tool", NAMED), ("each about all tools", ANY)):
        reading = _policy(rules, head, READING)
        what = f"{rules} rules that read an argument, {heads}, {tools} tools, each time another argument"
        yield _cost(what, reading.decide, _of_new_arguments(_calls(tools)), warm=tools)
    known = _calls(tools, origins={"path": "user", "to": "record"})
    yield _cost(
        f"{rules} rules, {tools} tools, origins known", _policy(rules, NAMED, PRIVATE).decide, known, warm=tools
    )


def _origins() -> Iterator[Cost]:
    arguments = {"to": "GB29NWBK60161331926819", "subject": "Rent for May", "amount": 1100.5, "recurring": True}
    for kib in (1, 64, 1024, 2000):
        ledger = Ledger()
        ledger.told_by_user("Please pay the rent for May to my landlord.")
        ledger.returned(PAGE * (kib * 1024 // len(PAGE)), untrusted=True)
        yield _cost(f"origins of four arguments, {kib} KiB of results", ledger.origins, cycle([arguments]), warm=1)


def _policy(rules: int, head: str, condition: str) -> CedarPolicy:
    texts = read_files(())
    more = (
        f'@id("r{n}") {head.format(server=n % 100, number=n)} when {{ {condition.format(number=n)} }};'
        for n in range(rules)
    )
    found, problems = parse_rules({**texts, "more.cedar": "\n".join(more)})
    if problems:
        raise ValueError(problems)
    return CedarPolicy(found)


def _calls(tools: int, *, tasks: bool = False, **facts: Any) -> Iterator[ToolCall]:
    calls = [
        ToolCall(
            principal=Principal("ada", "k1"),
            server=f"server{n % 100}",
            tool=f"tool{n}",
            task="t-1",
            arguments={"path": f"notes/{n}.txt", "to": "ada@example.org"},
            annotations=HINTS,
            labels=frozenset({"untrusted"}),
            **facts,
        )
        for n in range(tools)
    ]
    if not tasks:
        return cycle(calls)
    return _of_new_tasks(calls)


def _of_new_tasks(calls: list[ToolCall]) -> Iterator[ToolCall]:
    for number, call in enumerate(cycle(calls)):
        yield ToolCall(**{**{name: getattr(call, name) for name in call.__slots__}, "task": f"t-{number}"})


def _of_new_arguments(calls: Iterator[ToolCall]) -> Iterator[ToolCall]:
    """No value comes twice; one in ten is what a rule forbids."""
    for number, call in enumerate(calls):
        folder = f"secret-{number % 200}" if number % 10 == 0 else "notes"
        yield replace(call, arguments={"path": f"work/{folder}/{number}.txt", "to": "ada@example.org"})


def _cost(what: str, do: Callable[[Any], object], given: Iterator[Any], *, warm: int) -> Cost:
    for one in islice(given, warm):
        do(one)
    taken = []
    for one in islice(given, CALLS):
        begin = time.perf_counter_ns()
        do(one)
        taken.append((time.perf_counter_ns() - begin) / 1000)
    cuts = statistics.quantiles(taken, n=100)
    return Cost(what, round(cuts[49], 1), round(cuts[98], 1))


if __name__ == "__main__":
    main()
