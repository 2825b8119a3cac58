"""docs/cli.md names every command and every exit code that there is, and no other."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click

from muxi_runtime.cli.exit_codes import ExitCode
from muxi_runtime.cli.main import COMMANDS, program

PAGE = Path(__file__).parents[2] / "docs" / "cli.md"
COMMAND_ROW = re.compile(r"^\| `muxi-runtime ([a-z -]+?)(?: [A-Z\[].*)?` \|", re.MULTILINE)
CODE_ROW = re.compile(r"^\| (\d+) \| (.+) \|$", re.MULTILINE)


def commands() -> Iterator[str]:
    context = click.Context(program)
    for name in COMMANDS:
        command = program.get_command(context, name)
        if not isinstance(command, click.Group):
            yield name
            continue
        yield from (f"{name} {sub}" for sub in command.list_commands(context))


def test_every_command_has_a_row_and_every_row_a_command():
    assert sorted(COMMAND_ROW.findall(PAGE.read_text(encoding="utf-8"))) == sorted(commands())


def test_every_exit_code_has_a_row_and_every_row_an_exit_code():
    rows = dict(CODE_ROW.findall(PAGE.read_text(encoding="utf-8")))
    assert sorted(map(int, rows)) == sorted(ExitCode)
