"""One step of `up`: a name, what it does, and how it tells of its progress."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from muxi_runtime.errors import SetupError
from muxi_sandbox.errors import SandboxError

__all__ = ["Display", "Finished", "Report", "Step", "run_steps"]

Report = Callable[[str], None]
"""Takes one line of progress for a person."""


@dataclass(frozen=True, slots=True)
class Step:
    """A part of the set-up that can be done again without harm.

    Attributes:
        name: one word; errors and the progress display show it.
        doing: what happens, as in "building the images".
        run: does it; gives what was found or done, in a few words. Raises SetupError or SandboxError.
    """

    name: str
    doing: str
    run: Callable[[Report], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class Finished:
    """A step that is done."""

    name: str
    detail: str
    seconds: float


class Display(Protocol):
    """Where progress is shown."""

    def started(self, step: Step) -> None:
        """The step begins."""

    def line(self, step: Step, text: str) -> None:
        """A line of its progress."""

    def finished(self, step: Step, done: Finished) -> None:
        """It ended well."""


async def run_steps(steps: Sequence[Step], display: Display) -> tuple[Finished, ...]:
    """Run them in order, up to the first that fails.

    Raises:
        SetupError: names the step, whatever it raised.
    """
    return tuple([await _run(step, display) for step in steps])


async def _run(step: Step, display: Display) -> Finished:
    display.started(step)
    began = time.monotonic()
    try:
        detail = await step.run(lambda text: display.line(step, text))
    except SandboxError as error:
        raise SetupError(str(error), step=step.name) from error
    done = Finished(step.name, detail, time.monotonic() - began)
    display.finished(step, done)
    return done
