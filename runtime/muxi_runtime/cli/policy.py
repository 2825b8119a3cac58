"""`muxi-runtime policy`: try the rules without the runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from muxi_runtime.cli.exit_codes import ExitCode
from muxi_runtime.cli.output import Output, json_option, mark, table
from muxi_runtime.cli.policy_explain import explain
from muxi_runtime.cli.policy_history import reload, why
from muxi_runtime.cli.policy_learn import learn
from muxi_runtime.policy.cases import CaseResult, load_cases, run_cases
from muxi_runtime.policy.cedar import CedarPolicy
from muxi_runtime.policy.check import check as check_files

__all__ = ["policy"]


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


policy.add_command(explain)
policy.add_command(why)
policy.add_command(learn)
policy.add_command(reload)


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
