"""`python -m tests.benchmarks.dojo [--every N] [--out FOLDER]`, from the repository's root; for `make bench-policy`.

Runs the scripted model over all pairs of AgentDojo before each gate. Makes no connection. The same code gives the same
figures.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from tests.benchmarks.dojo.gates import AllowAll, Guarded, Withheld, told_tools
from tests.benchmarks.dojo.gullible import Gate, Script
from tests.benchmarks.dojo.pairs import TEMPLATE, TEMPLATES, VERSION, Pair, attack_of, pairs, run
from tests.benchmarks.dojo.scores import HEADINGS, Seen, document, scores, table
from tests.benchmarks.dojo.scripts import completed, shipped

from muxi_runtime.policy.cedar import CedarPolicy
from muxi_runtime.policy.settings import PolicySettings

PROCESSES = 2
SCRIPTS: Mapping[str, Script] = {"shipped": shipped, "completed": completed}
TITLES = {
    "shipped": "AgentDojo as it ships: for eight injections (320 pairs) it has no calls, and nothing can come of those",
    "completed": "With calls of ours for those eight",
}
GATES = (
    "allow all",
    "withheld alone",
    "rules alone",
    "default",
    "default, user unknown",
    "default, encoded attack",
)
"""`default` is what ships: the rules, and results of which passages that read like orders are withheld."""
OF_TEMPLATES = ("withheld alone", "rules alone", "default")


def main() -> None:
    """Run, print the tables, write `policy.json`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=1, help="run one pair in so many: to see that it works")
    parser.add_argument("--out", type=Path, default=Path("bench-results"), help="where policy.json goes")
    options = parser.parse_args()
    with ProcessPoolExecutor(PROCESSES) as pool:
        shares = list(pool.map(partial(_share, options.every), range(PROCESSES)))
    seen = [one for number in range(max(map(len, shares))) for share in shares for one in share[number : number + 1]]
    every = [one for pair in seen for one in pair]
    console = Console(width=140)
    found: dict[str, Any] = {"agentdojo": VERSION, "every": options.every}
    for script, title in TITLES.items():
        under = [one for one in every if one.template == TEMPLATE and one.script in ("", script)]
        found[script] = {"scores": document(scores(under)), "obeyed": _obeyed(under), "lost": _lost(under)}
        _show(console, title, under)
    for template in (TEMPLATE, *TEMPLATES):
        under = [one for one in every if one.template == template and one.script in ("", "shipped")]
        under = [one for one in under if one.attacked and one.gate in OF_TEMPLATES]
        found[template] = {"scores": document(scores(under)), "obeyed": _obeyed(under), "lost": _lost(under)}
        _show(console, f"The goal in AgentDojo's words of {template}", under)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "policy.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


def _share(every: int, process: int) -> list[list[Seen]]:
    """One process's pairs, in their order."""
    mine = list(pairs(every))[process::PROCESSES]
    return [_seen(pair) for pair in mine]


def _seen(pair: Pair) -> list[Seen]:
    # A pair that has its calls from AgentDojo is the same in both tables, and is run once.
    scripts = SCRIPTS if pair.has_no_script else {"": shipped}
    found = [_one(pair, name, script, gate) for name, script in scripts.items() for gate in GATES]
    if pair.injection is not None:
        others = [replace(pair, template=template) for template in TEMPLATES]
        found += [_one(other, "", shipped, gate) for other in others for gate in OF_TEMPLATES]
    return found


def _one(pair: Pair, name: str, script: Script, gate: str) -> Seen:
    outcome = run(pair, _gate(gate, pair), script)
    return Seen(
        script=name,
        gate=gate,
        suite=outcome.suite,
        pair=f"{outcome.user_task} {outcome.injection}",
        attacked=pair.injection is not None,
        says_only=pair.says_only,
        useful=outcome.useful,
        obeyed=outcome.obeyed,
        template=pair.template,
        lost=outcome.characters - outcome.given,
        characters=outcome.characters,
    )


def _gate(gate: str, pair: Pair) -> Gate:
    prompt, told = pair.user.PROMPT, _told()
    if gate == "allow all":
        return AllowAll()
    if gate == "withheld alone":
        return Withheld(AllowAll(), told)
    if gate == "rules alone":
        return Guarded(_policy(), told, prompt)
    if gate == "default, encoded attack":
        # What is in a code is neither compared nor found.
        return Guarded(_policy(), told, prompt, hidden=next(iter(attack_of(pair).values()), ""))
    return Withheld(Guarded(_policy(), told, prompt, knows_user=gate == "default"), told)


_told = cache(told_tools)


@cache
def _policy() -> CedarPolicy:
    return CedarPolicy.load(PolicySettings())


def _obeyed(seen: Sequence[Seen]) -> dict[str, list[str]]:
    """The pairs whose injection succeeded against the rules."""
    return {gate: [f"{one.suite} {one.pair}" for one in seen if one.gate == gate and one.obeyed] for gate in GATES[1:]}


def _lost(seen: Sequence[Seen]) -> dict[str, dict[str, int]]:
    """Characters of results that were withheld where nothing was injected, and of how many there were."""
    honest = [one for one in seen if not one.attacked and one.gate == "default"]
    return {"honest": {"withheld": sum(one.lost for one in honest), "of": sum(one.characters for one in honest)}}


def _show(console: Console, title: str, seen: Sequence[Seen]) -> None:
    console.print(title)
    shown = Table(*HEADINGS, box=None, header_style="bold", pad_edge=False)
    for row in table(scores(seen)):
        shown.add_row(*row)
    console.print(shown)
    console.print()


if __name__ == "__main__":
    main()
