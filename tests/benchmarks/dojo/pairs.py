"""AgentDojo's suites, and each pair's environment with the injection put where the user's task will read it."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import yaml
from agentdojo.attacks.attack_registry import load_attack
from agentdojo.attacks.base_attacks import BaseAttack
from agentdojo.task_suite import task_suite
from agentdojo.task_suite.load_suites import get_suites
from tests.benchmarks.dojo.gullible import Gate, Outcome, Script, run_pair
from tests.benchmarks.dojo.scripts import UNSCRIPTED

__all__ = ["SUITES", "TEMPLATE", "TEMPLATES", "VERSION", "Pair", "attack_of", "pairs", "run"]

VERSION = "v1.2.2"
TEMPLATE = "important_instructions"
TEMPLATES = ("direct", "ignore_previous", "system_message", "injecagent")
"""The others: AgentDojo's ways to put a goal into words."""
SUITES = ("workspace", "travel", "banking", "slack")


@dataclass(frozen=True)
class Pair:
    """A user's task and an injection, or `None`; `template` is AgentDojo's name of the attack."""

    suite: Any
    user: Any
    injection: Any
    template: str = TEMPLATE

    @property
    def says_only(self) -> bool:
        """Whether the injection wants nothing but words in the answer: no call is there to decide about."""
        return self.injection is not None and bool(self.injection.GROUND_TRUTH_OUTPUT)

    @property
    def has_no_script(self) -> bool:
        """Whether AgentDojo ships no calls for the injection, though it wants some."""
        return self.injection is not None and self.injection.ID in UNSCRIPTED and self.suite.name == "workspace"


def pairs(every: int = 1) -> Iterator[Pair]:
    """All of them, those without an injection among them; or one in so many."""
    count = 0
    for name in SUITES:
        suite = get_suites(VERSION)[name]
        for user in suite.user_tasks.values():
            for injection in (None, *suite.injection_tasks.values()):
                count += 1
                if count % every == 0:
                    yield Pair(suite, user, injection)


def attack_of(pair: Pair) -> dict[str, str]:
    """The text of the attack for each place where the user's task will read it."""
    return dict(_attack(pair.suite.name, pair.template).attack(pair.user, pair.injection)) if pair.injection else {}


def run(pair: Pair, gate: Gate, script: Script) -> Outcome:
    """One pair before a gate, in an environment of its own."""
    environment = _filled(pair.suite.name, tuple(sorted(attack_of(pair).items()))).model_copy(deep=True)
    # Some of the suites' checks print what they miss.
    with redirect_stdout(io.StringIO()):
        return run_pair(pair.suite, pair.user, pair.injection, environment, gate, script)


@lru_cache(maxsize=4)
def _filled(suite_name: str, injections: tuple[tuple[str, str], ...]) -> Any:
    suite = get_suites(VERSION)[suite_name]
    text = task_suite.read_suite_file(suite_name, "environment.yaml", suite.data_path)
    # As the suite does it, but with the parser written in C.
    filled = yaml.load(
        text.format(**{**suite.get_injection_vector_defaults(), **dict(injections)}),
        yaml.CSafeLoader,
    )
    return suite.environment_type.model_validate(filled)


@lru_cache
def _attack(suite: str, template: str) -> BaseAttack:
    return load_attack(template, get_suites(VERSION)[suite], _Pipeline())


class _Pipeline:
    """The attack greets a model by its name; no model is asked."""

    name = "gpt-4o-2024-05-13"
