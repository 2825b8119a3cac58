"""The one place where an exception becomes a short message on standard error and an exit code."""

from __future__ import annotations

import click

from muxi_runtime.cli.exit_codes import ExitCode
from muxi_runtime.cli.terminal import printable
from muxi_runtime.errors import (
    ConfigError,
    IdentityError,
    MuxiError,
    NotRunningError,
    RefusedError,
    SetupError,
    VaultError,
)
from muxi_sandbox.errors import SandboxError

__all__ = ["exit_code", "first_known", "show"]

CODES: tuple[tuple[type[Exception], ExitCode], ...] = (
    (ConfigError, ExitCode.CONFIGURATION),
    (SetupError, ExitCode.SETUP),
    (VaultError, ExitCode.CONFIGURATION),
    (SandboxError, ExitCode.SETUP),
    (NotRunningError, ExitCode.NOT_RUNNING),
    (RefusedError, ExitCode.REFUSED),
    (IdentityError, ExitCode.REFUSED),
    (MuxiError, ExitCode.SERVER),
)


def exit_code(error: MuxiError | SandboxError) -> ExitCode:
    """The exit code of a failure of ours."""
    return next(code for kind, code in CODES if isinstance(error, kind))


def first_known(error: BaseException) -> MuxiError | SandboxError | None:
    """The failure to show, also out of a group; `None` when any part is not ours (a bug: show it whole)."""
    if isinstance(error, MuxiError | SandboxError):
        return error
    if not isinstance(error, BaseExceptionGroup):
        return None
    known = [first_known(part) for part in error.exceptions]
    return None if None in known else known[0]


def show(error: MuxiError | SandboxError) -> ExitCode:
    """Print the message, and the remedy on a line of its own, to standard error."""
    message, remedy = _parts(error)
    click.echo(f"{click.style('error:', fg='red', bold=True)} {printable(message)}", err=True)
    if remedy:
        click.echo(f"{click.style('   do:', fg='green')} {printable(remedy)}", err=True)
    return exit_code(error)


def _parts(error: MuxiError | SandboxError) -> tuple[str, str]:
    """The message without its remedy, which `str()` of a `MuxiError` appends, and the remedy."""
    if isinstance(error, MuxiError):
        return Exception.__str__(error), error.remedy
    return str(error), ""
