"""What `up` does, in order: the state folder, the engine, the images, the port. Each step can be done again."""

from __future__ import annotations

from muxi_runtime.config import Settings
from muxi_runtime.setup.engine import EngineStep
from muxi_runtime.setup.home import prepare_home
from muxi_runtime.setup.images import ensure_images
from muxi_runtime.setup.port import check_port_is_free
from muxi_runtime.setup.step import Report, Step

__all__ = ["engine_step", "home_step", "setup_steps"]


def home_step(settings: Settings) -> Step:
    """The folder of all state."""

    async def home(_report: Report) -> str:
        prepare_home(settings.home)
        return str(settings.home)

    return Step("home", "preparing the state folder", home)


def engine_step(settings: Settings, *, may_install: bool) -> Step:
    """A container engine that answers."""
    engine = EngineStep(settings.engine.socket, settings.home, may_install)
    return Step("engine", "looking for a container engine", engine.run)


def setup_steps(settings: Settings, *, may_install: bool) -> tuple[Step, ...]:
    """Everything between an empty state folder and a runtime that can start."""
    gateway = settings.gateway

    async def images(report: Report) -> str:
        return await ensure_images(settings.engine, report)

    async def port(_report: Report) -> str:
        check_port_is_free(gateway.host, gateway.port)
        return f"{gateway.host}:{gateway.port} is free"

    return (
        engine_step(settings, may_install=may_install),
        Step("images", "seeing to the sandbox images", images),
        Step("port", "looking whether the port is free", port),
    )
