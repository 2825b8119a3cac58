"""`up` without its face: from settings to a runtime that answers, in the background, once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from muxi_runtime.config import Settings
from muxi_runtime.errors import SetupError
from muxi_runtime.setup.daemon import answers, serve_command, start_runtime
from muxi_runtime.setup.health import ask_status
from muxi_runtime.setup.home import ProcessRecord, running_process
from muxi_runtime.setup.plan import home_step, setup_steps
from muxi_runtime.setup.step import Display, Finished, Report, Step, run_steps

__all__ = ["Outcome", "bring_up", "prepare"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What `up` came to.

    Attributes:
        was_running: nothing was done, since a runtime of this home answers already.
        components: as `/control/status` gives them: name, ok, detail, cure. Empty if only a key shows them.
    """

    was_running: bool
    url: str
    pid: int
    home: str
    steps: tuple[Finished, ...]
    components: tuple[dict[str, Any], ...]

    @property
    def healthy(self) -> bool:
        """Whether no component says that it fails."""
        return all(component.get("ok") for component in self.components)


async def prepare(settings: Settings, display: Display, *, may_install: bool) -> tuple[Finished, ...]:
    """Everything but the runtime itself.

    Raises:
        SetupError: names the step that failed, and the cure.
    """
    return await run_steps([home_step(settings), *setup_steps(settings, may_install=may_install)], display)


async def bring_up(settings: Settings, display: Display, *, may_install: bool) -> Outcome:
    """Everything, unless it runs already.

    Raises:
        SetupError: names the step that failed, and the cure.
    """
    running = running_process(settings.home)
    if running is not None:
        await _see_that_it_answers(running)
        return await _outcome(settings, running, (), was_running=True)
    prepared = await prepare(settings, display, may_install=may_install)
    started: list[ProcessRecord] = []

    async def start(_report: Report) -> str:
        started.append(await start_runtime(serve_command(settings.home, settings.source), settings.home))
        return f"process {started[0].pid} answers at {started[0].url}"

    steps = await run_steps([Step("start", "starting the runtime", start)], display)
    return await _outcome(settings, started[0], (*prepared, *steps), was_running=False)


async def _see_that_it_answers(running: ProcessRecord) -> None:
    if not await answers(running):
        raise SetupError(
            f"A runtime of this state folder runs as process {running.pid} and does not answer.",
            step="start",
            remedy="If it is not just starting: `muxi-runtime down`, then `muxi-runtime up`.",
        )


async def _outcome(
    settings: Settings, record: ProcessRecord, steps: tuple[Finished, ...], *, was_running: bool
) -> Outcome:
    status = await ask_status(record.url) or {}
    components = tuple(status.get("components", ()))
    return Outcome(was_running, record.url, record.pid, str(settings.home), steps, components)
