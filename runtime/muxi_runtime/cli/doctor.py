"""`muxi-runtime doctor`: this machine, checked; the runtime need not run."""

from __future__ import annotations

from collections.abc import Sequence

import anyio
import anyio.to_thread
import click

from muxi_runtime.cli.context import Invocation
from muxi_runtime.cli.exit_codes import ExitCode
from muxi_runtime.cli.machine_checks import check_engine, check_here, check_images, check_proof
from muxi_runtime.cli.output import Output, json_option, mark, table
from muxi_runtime.config import Settings
from muxi_sandbox.contract import Check
from muxi_sandbox.proof.proof import Proof

__all__ = ["doctor"]


@click.command()
@click.option("--proof", is_flag=True, help="Try to get out of a sandbox, in every way that is known here.")
@json_option
@click.pass_context
def doctor(ctx: click.Context, out: Output, *, proof: bool) -> None:
    """Check this machine: python, configuration, port, disk, keys, engine, images; exit 1 when something fails."""
    invocation: Invocation = ctx.obj
    if proof:
        _show_proof(ctx, out, anyio.run(check_proof, invocation.settings()))
        return
    checks = anyio.run(_checks, invocation.settings())
    ok = all(check.ok for check in checks)
    document = [
        {"name": check.name, "state": _state(check), "detail": check.detail, "cure": check.cure} for check in checks
    ]
    rows = [
        (check.name, mark(None if check.ok and check.cure else check.ok), check.detail, check.cure) for check in checks
    ]
    out.show({"ok": ok, "checks": document}, table(("check", "state", "detail", "what to do"), rows))
    if not ok:
        ctx.exit(ExitCode.FAILED)


def _show_proof(ctx: click.Context, out: Output, proofs: Sequence[Proof]) -> None:
    accepted = ctx.obj.settings().engine.accept_failed_probes
    refused = [finding for proof in proofs for finding in proof.failures(accepted)]
    rows = [
        (
            finding.name,
            mark(finding.ok or (None if finding.name in accepted else False)),
            finding.tried,
            finding.happened,
        )
        for proof in proofs
        for finding in proof.findings
    ]
    document = {"ok": not refused, "proofs": [proof.document() for proof in proofs]}
    out.show(document, table(("probe", "state", "tried", "happened"), rows))
    if refused:
        ctx.exit(ExitCode.FAILED)


async def _checks(settings: Settings) -> list[Check]:
    here = await anyio.to_thread.run_sync(check_here, settings)
    engine = list(await check_engine(settings))
    # Without an engine its images are out of sight: saying so once is enough.
    reachable = all(check.ok for check in engine if check.name == "engine")
    return [*here, *engine, *(await check_images(settings) if reachable else [])]


def _state(check: Check) -> str:
    if not check.ok:
        return "fail"
    return "warn" if check.cure else "ok"
