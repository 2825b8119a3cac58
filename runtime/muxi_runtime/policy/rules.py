"""Loads rule files: parsed, checked against the schema, named. The boundary where Cedar's errors become ours."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import cedarpy

from muxi_runtime.errors import ConfigError
from muxi_runtime.policy.statements import Statement, statements

__all__ = [
    "DEFAULT",
    "DEFAULT_DENY",
    "EVALUATION_ERROR",
    "UNREADABLE",
    "Problem",
    "Rule",
    "RuleSet",
    "load_rules",
    "parse_rules",
    "read_files",
    "schema",
]

DEFAULT = Path("default")
"""Stands for the shipped rules in `policy.files`."""

DEFAULT_DENY = "default-deny"
EVALUATION_ERROR = "evaluation-error"
UNREADABLE = "unreadable-arguments"
RESERVED = frozenset({DEFAULT_DENY, EVALUATION_ERROR, UNREADABLE})
"""What stands for a rule in a decision that no rule made."""

ANNOTATIONS = frozenset({"id", "decision", "reason", "remedy"})
REMEDY = "Correct the file and run `muxi-runtime policy check`."

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a rule: where it begins and what."""

    file: str
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message}"


@dataclass(frozen=True, slots=True)
class Rule:
    """One Cedar policy.

    Attributes:
        id: `@id`, or `FILE:LINE` for one without.
        asks: whether it is a `forbid` that turns the call into a question.
        reads: the names of the arguments that it looks at.
        body: Cedar's JSON form of it.
    """

    id: str
    permits: bool
    asks: bool
    reason: str
    remedy: str
    file: str
    line: int
    text: str
    reads: frozenset[str]
    body: Json


@dataclass(frozen=True, slots=True)
class RuleSet:
    """Rules in the order of their files, by id."""

    rules: Mapping[str, Rule]

    def policies(self, *, permits_only: bool = False) -> cedarpy.PolicySet:
        """Parsed for evaluation; Cedar then reports our ids."""
        chosen = {rule.id: rule.body for rule in self.rules.values() if rule.permits or not permits_only}
        return cedarpy.PolicySet.from_json_str(
            json.dumps({"staticPolicies": chosen, "templates": {}, "templateLinks": []})
        )

    @property
    def reads(self) -> frozenset[str]:
        """The names of all arguments that any rule looks at."""
        return frozenset().union(*(rule.reads for rule in self.rules.values()))

    @property
    def digest(self) -> str:
        """Tells these rules from others: SHA-256, in hex, of their ids and texts in order."""
        texts = json.dumps([(rule.id, rule.text) for rule in self.rules.values()])
        return hashlib.sha256(texts.encode()).hexdigest()

    def without(self, rule: str) -> RuleSet:
        """The same rules but one."""
        return RuleSet({name: kept for name, kept in self.rules.items() if name != rule})


def load_rules(paths: Sequence[Path]) -> RuleSet:
    """Read and check the files; none means the shipped rules.

    Raises:
        ConfigError: a file cannot be read, or rules are wrong; one line for each problem.
    """
    rules, problems = parse_rules(read_files(paths))
    if problems:
        raise ConfigError("\n".join(map(str, problems)), remedy=REMEDY)
    return rules


def read_files(paths: Sequence[Path]) -> dict[str, str]:
    """The text of each file by its name.

    Raises:
        ConfigError: one cannot be read.
    """
    return dict(map(_read, paths or (DEFAULT,)))


def parse_rules(texts: Mapping[str, str]) -> tuple[RuleSet, list[Problem]]:
    """Rules from text by file name, and everything that is wrong with it. Rules with problems are left out."""
    rules: dict[str, Rule] = {}
    problems: list[Problem] = []
    for file, text in texts.items():
        for statement in statements(text):
            rule, wrong = _rule(file, statement)
            problems += [Problem(file, statement.line, message) for message in wrong]
            if rule is None or wrong:
                continue
            if other := rules.get(rule.id):
                message = f"rule {rule.id!r}: {other.file}:{other.line} has the same @id"
                problems.append(Problem(file, statement.line, message))
                continue
            rules[rule.id] = rule
    return RuleSet(rules), problems


@cache
def schema() -> cedarpy.Schema:
    """The schema that every rule and request must fit."""
    return cedarpy.Schema.from_str(_shipped("schema.cedarschema"))


def _read(path: Path) -> tuple[str, str]:
    # muxi.yaml's relative paths arrive absolute, so a file of the operator's called `default` is asked for first.
    if path.name == DEFAULT.name and not path.exists():
        return "default.cedar", _shipped("default.cedar")
    try:
        return str(path), path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"The policy file {path} cannot be read: {error.strerror}.", remedy=REMEDY) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"The policy file {path} is not UTF-8 text.", remedy=REMEDY) from error


def _shipped(name: str) -> str:
    return (files("muxi_runtime.policy") / name).read_text(encoding="utf-8")


def _rule(file: str, statement: Statement) -> tuple[Rule | None, list[str]]:
    try:
        parsed = json.loads(cedarpy.policies_to_json_str(statement.text))
    except ValueError as error:
        return None, [f"the rule that begins here is not Cedar: {error}"]
    if parsed["templates"]:
        return None, [
            "the rule that begins here is a template (?principal, ?resource), and nothing here would fill it in"
        ]
    (body,) = parsed["staticPolicies"].values()
    notes = {key: value or "" for key, value in body.get("annotations", {}).items()}
    name = notes.get("id") or f"{Path(file).name}:{statement.line}"
    reads, unreadable = _reads(body)
    problems = [*_annotation_problems(notes, body["effect"]), *unreadable, *_schema_problems(statement.text)]
    rule = Rule(
        id=name,
        permits=body["effect"] == "permit",
        asks=notes.get("decision") == "ask",
        reason=notes.get("reason", ""),
        remedy=notes.get("remedy", ""),
        file=file,
        line=statement.line,
        text=statement.text,
        reads=frozenset(reads),
        body=body,
    )
    return rule, [f"rule {name!r}: {problem}" for problem in problems]


def _annotation_problems(notes: Mapping[str, str], effect: str) -> Iterator[str]:
    for unknown in sorted(notes.keys() - ANNOTATIONS):
        yield f"@{unknown} means nothing here; known are @{', @'.join(sorted(ANNOTATIONS))}"
    if notes.get("id") in RESERVED:
        yield "this @id stands for decisions that no rule made; choose another"
    decision = notes.get("decision")
    if decision is not None and decision != "ask":
        yield f'@decision("{decision}") means nothing; it can only be "ask"'
    if decision == "ask" and effect != "forbid":
        yield '@decision("ask") belongs on a forbid: it turns a refusal into a question'


def _schema_problems(text: str) -> list[str]:
    found = cedarpy.validate_policies(text, schema())
    # Cedar starts each with the name that it made up for the policy; the caller puts ours.
    return [error.error.removeprefix(f"for policy `{error.policy_id}`, ") for error in found.errors]


def _reads(body: object) -> tuple[set[str], list[str]]:
    """Names of arguments in `hasTag` and `getTag`: only those are shown to Cedar, so each must be a literal."""
    names: set[str] = set()
    problems: list[str] = []
    for node in _nodes(body):
        for operator in ("hasTag", "getTag"):
            if operator not in node:
                continue
            name = node[operator]["right"].get("Value")
            if isinstance(name, str):
                names.add(name)
            else:
                problems.append(f'{operator} needs the argument\'s name in quotes, as in {operator}("path")')
    return names, problems


def _nodes(value: object) -> Iterator[dict[str, Any]]:
    """Every JSON object in a value."""
    waiting = [value]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            yield node
            waiting += node.values()
        elif isinstance(node, list):
            waiting += node
