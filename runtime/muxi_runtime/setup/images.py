"""The step that sees to the sandbox images."""

from __future__ import annotations

from muxi_runtime.setup.step import Report
from muxi_sandbox.docker.images import ImageStore
from muxi_sandbox.docker.settings import EngineSettings

__all__ = ["ensure_images"]


async def ensure_images(engine: EngineSettings, report: Report) -> str:
    """Build what is missing; how many are ready.

    Raises:
        SandboxError: one cannot be built.
    """
    async with ImageStore(engine) as store:
        before = {image.name for image in await store.list() if image.built}
        for name in store.names_at_start:
            if name not in before:
                await store.ensure(name, report)
        built = [name for name in store.names_at_start if name not in before]
        return f"built {', '.join(built)}" if built else f"{', '.join(store.names_at_start)} are there"
