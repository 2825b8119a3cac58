"""`down` without its face: end the runtime of a home, and tell what ended with it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from muxi_runtime.setup.daemon import end_runtime
from muxi_runtime.setup.health import ask_status
from muxi_runtime.setup.home import running_process

__all__ = ["TakenDown", "take_down"]


@dataclass(frozen=True, slots=True)
class TakenDown:
    """What was ended.

    Attributes:
        tasks: how many tasks it ended, `None` if it did not say.
        kept: how many it left as they are.
        killed: it did not end when asked to, and was killed.
    """

    pid: int
    tasks: int | None
    kept: int
    killed: bool

    def sentence(self) -> str:
        """For a person."""
        tasks = "" if self.tasks is None else f" and ended {self.tasks} task{'' if self.tasks == 1 else 's'}"
        if self.killed:
            return (
                f"Killed the runtime (process {self.pid}): it did not end when asked to."
                " Sandboxes that it left behind are removed by the next `muxi-runtime up`."
            )
        kept = f" {self.kept} kept for the next one." if self.kept else ""
        return f"Stopped the runtime (process {self.pid}){tasks}.{kept}"

    def as_json(self) -> dict[str, Any]:
        """For a program."""
        return {"was_running": True, "pid": self.pid, "tasks": self.tasks, "kept": self.kept, "killed": self.killed}


async def take_down(home: Path) -> TakenDown | None:
    """End it and wait until it is gone; `None` if there was none.

    Raises:
        SetupError: it cannot be ended.
    """
    running = running_process(home)
    if running is None:
        return None
    status = await ask_status(running.url) if running.url else None
    kept = int(status.get("kept_tasks", 0)) if status else 0
    tasks = int(status["tasks"]) - kept if status and "tasks" in status else None
    ended = await end_runtime(running)
    return TakenDown(ended.pid, tasks, kept, ended.killed)
