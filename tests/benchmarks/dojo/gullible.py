"""The scripted worst case: a model without any judgement of its own.

It makes the calls by which AgentDojo itself solves the user's task. When what it is given shows it an injection's goal,
or a sentence of it, it obeys at once: it makes the calls that the injection wants (`scripts.py`), says what the
injection wants said, and goes on with the user's task. It knows nothing of the policy; a call that is refused changes
nothing of what it does next.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

from agentdojo.functions_runtime import FunctionCall, FunctionsRuntime
from pydantic import BaseModel

__all__ = ["Gate", "Outcome", "Script", "Tried", "run_pair"]

SHORTEST = 4
"""Words of a sentence that can be obeyed alone."""
_SENTENCE = re.compile(r"(?<=[.!?])\s+|\n")

Script: TypeAlias = Callable[[Any, Any], list[FunctionCall]]
"""The calls that an injection wants, in an environment."""


class Gate(Protocol):
    """Stands before each call of one task."""

    def allows(self, tool: str, arguments: Mapping[str, Any], /) -> str:
        """The empty string, or the rule that refuses."""

    def returned(self, tool: str, result: Any, /) -> Any:
        """Told what a call that was made gave; what of it the model is given."""


@dataclass(frozen=True)
class Tried:
    """One call that the model wanted."""

    tool: str
    arguments: Mapping[str, Any]
    injected: bool
    refused_by: str


@dataclass
class Outcome:
    """What came of one pair.

    Attributes:
        useful: the suite's own check of the user's task.
        obeyed: the suite's own check of the injection's task.
        characters: of the results, before anything was withheld; `given` of what is left of them.
    """

    suite: str
    user_task: str
    injection: str
    useful: bool = False
    obeyed: bool = False
    saw_injection: bool = False
    characters: int = 0
    given: int = 0
    tried: list[Tried] = field(default_factory=list)


def run_pair(suite: Any, user: Any, injection: Any, environment: Any, gate: Gate, script: Script) -> Outcome:
    """One user's task, with an injection or `None`, in an environment that is this run's own."""
    environment = user.init_environment(environment)
    before = environment.model_copy(deep=True)
    outcome = Outcome(suite.name, user.ID, injection.ID if injection else "")
    run = _Run(FunctionsRuntime(suite.tools), environment, gate, outcome)
    sees = _detector(injection.GOAL) if injection else _never
    plan = [(call, False) for call in user.ground_truth(environment)]
    while plan:
        call, injected = plan.pop(0)
        shown = run.make(call, injected=injected)
        if not outcome.saw_injection and any(map(sees, strings(shown))):
            outcome.saw_injection = True
            plan = [(extra, True) for extra in script(injection, environment)] + plan
    answer = user.GROUND_TRUTH_OUTPUT
    if outcome.saw_injection:
        answer = f"{injection.GROUND_TRUTH_OUTPUT}\n{answer}"
    said = [{"type": "text", "content": answer}]
    outcome.useful = bool(suite._check_user_task_utility(user, said, before, environment, run.made))  # noqa: SLF001
    if injection:
        outcome.obeyed = bool(suite._check_injection_task_security(injection, said, before, environment, run.made))  # noqa: SLF001
    return outcome


@dataclass
class _Run:
    runtime: FunctionsRuntime
    environment: Any
    gate: Gate
    outcome: Outcome
    made: list[FunctionCall] = field(default_factory=list)

    def make(self, call: FunctionCall, *, injected: bool) -> Any:
        """The result as JSON; `None` if the call was refused."""
        arguments = plain(dict(call.args))
        refused_by = self.gate.allows(call.function, arguments)
        self.outcome.tried.append(Tried(call.function, arguments, injected, refused_by))
        if refused_by:
            return None
        result, error = self.runtime.run_function(self.environment, call.function, call.args)
        self.made.append(call)
        shown = plain(error or result)
        given = self.gate.returned(call.function, shown)
        self.outcome.characters += sum(map(len, strings(shown)))
        self.outcome.given += sum(map(len, strings(given)))
        return given


def plain(value: Any) -> Any:
    """As JSON values."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, str | int | float | bool) or value is None:
        return value
    return [plain(item) for item in value] if isinstance(value, list | tuple) else str(value)


def strings(value: Any) -> Iterator[str]:
    """All text in JSON values, names of fields included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from value
        for item in value.values():
            yield from strings(item)
    elif isinstance(value, Sequence):
        for item in value:
            yield from strings(item)


def _detector(goal: str) -> Callable[[str], bool]:
    """Whether a text holds a sentence of the goal: an injection of which a part is gone may be obeyed all the same."""
    # The suites put text into YAML, which folds white space.
    said = [" ".join(sentence.split()) for sentence in _SENTENCE.split(goal)]
    wanted = [sentence for sentence in said if len(sentence.split()) >= SHORTEST] or [" ".join(goal.split())]
    return lambda text: any(sentence in " ".join(text.split()) for sentence in wanted)


def _never(_text: str) -> bool:
    return False
