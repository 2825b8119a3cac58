"""`policy check`: everything that is wrong with rule files at once, and what is odd about them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from muxi_runtime.policy.rules import Problem, RuleSet, parse_rules, read_files
from muxi_runtime.policy.statements import statements

__all__ = ["Checked", "check"]


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found.

    Attributes:
        files: their names.
        rules: the sound ones.
        problems: what keeps the files from being used.
        notes: what is allowed but may be a mistake.
    """

    files: tuple[str, ...]
    rules: RuleSet
    problems: tuple[Problem, ...]
    notes: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether the runtime would take these files."""
        return not self.problems


def check(paths: Sequence[Path]) -> Checked:
    """Parse and validate the files; none means the shipped rules.

    Raises:
        ConfigError: a file cannot be read.
    """
    texts = read_files(paths)
    rules, problems = parse_rules(texts)
    return Checked(tuple(texts), rules, tuple(problems), tuple(_notes(texts, rules, problems)))


def _notes(texts: Mapping[str, str], rules: RuleSet, problems: Sequence[Problem]) -> Iterator[str]:
    for file, text in texts.items():
        if not any(statements(text)):
            yield f"{file}: holds no rules."
    if not problems and not any(rule.permits for rule in rules.rules.values()):
        yield "No rule permits anything, so every call is denied."
    for rule in rules.rules.values():
        if not rule.reason:
            yield f"{rule.file}:{rule.line}: rule {rule.id!r} gives no @reason for people to read."
