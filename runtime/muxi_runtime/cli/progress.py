"""How the steps of `up` and the builds of `images build` show on a terminal, and where there is none."""

from __future__ import annotations

from contextlib import AbstractContextManager
from types import TracebackType

from rich.console import Console
from rich.text import Text

from muxi_runtime.cli.terminal import printable
from muxi_runtime.setup.step import Finished, Step

__all__ = ["StepDisplay"]

NAME_WIDTH = 8


class StepDisplay(AbstractContextManager["StepDisplay"]):
    """On a terminal a line a step, with the newest line of its progress while it runs; elsewhere every line."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._status = console.status("")

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Leave the terminal as it was."""
        self._status.stop()

    def started(self, step: Step) -> None:
        """Show what happens."""
        if self._console.is_terminal:
            self._show(step, step.doing)
            self._status.start()
        else:
            self._console.print(Text(f"> {step.name}: {step.doing}"), soft_wrap=True)

    def line(self, step: Step, text: str) -> None:
        """Show the progress."""
        if self._console.is_terminal:
            self._show(step, printable(text))
        else:
            self._console.print(Text(f"    {printable(text)}"), soft_wrap=True)

    def finished(self, step: Step, done: Finished) -> None:
        """Show what came of it."""
        self._status.stop()
        self._console.print(
            Text.assemble(
                ("✓ ", "green"),
                f"{step.name:<{NAME_WIDTH}} {printable(done.detail)} ",
                (f"({done.seconds:.1f} s)", "dim"),
            ),
            soft_wrap=True,
        )

    def _show(self, step: Step, text: str) -> None:
        line = Text(f"{step.name}: {text}")
        line.truncate(max(20, self._console.width - 4), overflow="ellipsis")
        self._status.update(line)
