"""What a command prints: tables for people, or JSON for programs.

The convention of every command:

    @click.command()
    @json_option
    def things(out: Output) -> None:
        rows = [{"name": "a", "size": 1}]
        out.show({"things": rows}, table(("name", "size"), [(row["name"], row["size"]) for row in rows]))

`--json` prints one document on standard output, or one a line for a stream; its keys are stable. All of it is
ASCII, and text for people goes through `printable`: nothing that a tool wrote can act on the terminal.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import click
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from muxi_runtime.cli.terminal import printable

__all__ = ["Output", "fields", "json_option", "mark", "plain", "table"]

Command = TypeVar("Command", bound=Callable[..., Any])

PIPE_WIDTH = 200
"""Columns where there is no terminal: wide, so that lines are rarely folded."""


@dataclass(frozen=True, slots=True)
class Output:
    """Where one command's results go."""

    as_json: bool = False

    def show(self, document: object, *people: RenderableType | str) -> None:
        """Print the document as JSON, or what is for people; plain `str` is made printable, never read as markup."""
        if self.as_json:
            print_json(document, indent=2)
            return
        console = Console(width=None if sys.stdout.isatty() else PIPE_WIDTH, markup=False, highlight=False)
        with console.capture() as shown:
            for part in people:
                console.print(plain(part) if isinstance(part, str) else part)
        # Tables are padded to their width: nobody wants that in a file or an e-mail.
        click.echo("\n".join(line.rstrip() for line in shown.get().split("\n")), nl=False)

    def line(self, document: object, text: str) -> None:
        """Print one item of a stream at once: a line of JSON, or the text."""
        if self.as_json:
            print_json(document)
        else:
            click.echo(printable(text))
        sys.stdout.flush()


def print_json(document: object, indent: int | None = None) -> None:
    """JSON in ASCII: it cannot act on a terminal, and any encoding can carry it."""
    click.echo(json.dumps(document, indent=indent, ensure_ascii=True, default=str))


def _chosen(_ctx: click.Context, _param: click.Parameter, value: bool) -> Output:  # noqa: FBT001 - click's signature
    return Output(as_json=value)


def json_option(command: Command) -> Command:
    """Add `--json`; the command gets `out: Output`."""
    option = click.option("--json", "out", is_flag=True, callback=_chosen, help="Print JSON for programs.")
    return option(command)


def plain(value: object, style: str = "") -> Text:
    """Any value as text that is shown as it is; `None` is a dash."""
    return Text("-" if value is None else printable(str(value)), style=style)


def mark(ok: bool | None) -> Text:  # noqa: FBT001 - one flag is all there is to say
    """A check's outcome: `ok`, `fail`, or `warn` for `None`."""
    if ok is None:
        return Text("warn", style="yellow")
    return Text("ok", style="green") if ok else Text("fail", style="bold red")


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], title: str = "") -> Table:
    """A table; cells are `Text` or anything that `plain` takes."""
    result = Table(*columns, title=title or None, title_justify="left", header_style="bold", box=None, pad_edge=False)
    for row in rows:
        result.add_row(*(cell if isinstance(cell, Text) else plain(cell) for cell in row))
    return result


def fields(pairs: Iterable[tuple[str, object]]) -> Table:
    """Names and values of one thing, a line each."""
    result = Table(show_header=False, box=None, pad_edge=False)
    for name, value in pairs:
        result.add_row(Text(name, style="bold"), value if isinstance(value, Text) else plain(value))
    return result
