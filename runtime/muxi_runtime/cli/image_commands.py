"""The bodies of `images build` and `images list`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial

import anyio
import click
from rich.console import Console
from rich.table import Table

from muxi_runtime.cli.progress import StepDisplay
from muxi_runtime.config import Settings
from muxi_runtime.setup.plan import engine_step, home_step
from muxi_runtime.setup.step import Report, Step, run_steps
from muxi_sandbox.docker.images import Image, ImageStore
from muxi_sandbox.docker.settings import EngineSettings

__all__ = ["Wish", "build", "show"]

MIB = 2**20


@dataclass(frozen=True, slots=True)
class Wish:
    """What to build, all if there are no names, and what to do around it."""

    names: tuple[str, ...]
    may_install: bool
    prune: bool


@dataclass(slots=True)
class _Built:
    references: dict[str, str]
    removed: tuple[str, ...] = ()


def build(settings: Settings, wish: Wish, *, as_json: bool) -> None:
    """Build and tell.

    Raises:
        SetupError: no engine, or one could not be built; names it.
    """
    with StepDisplay(Console(stderr=as_json)) as display:
        built = anyio.run(_build, settings, wish, display)
    if as_json:
        click.echo(json.dumps({"images": built.references, "removed": built.removed}, indent=2))
    elif wish.prune:
        click.echo(f"Removed: {', '.join(built.removed) or 'nothing'}.")


def show(engine: EngineSettings, *, as_json: bool) -> None:
    """List them.

    Raises:
        SandboxError: no engine answers.
    """
    found = anyio.run(_list, engine)
    if as_json:
        click.echo(json.dumps([_as_json(image) for image in found], indent=2))
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("image", "built", "size", "reference"):
        table.add_column(heading, no_wrap=True)
    for image in found:
        built = f"{image.created:%Y-%m-%d %H:%M}" if image.created else "no"
        size = f"{image.size_bytes / MIB:.0f} MiB" if image.size_bytes is not None else ""
        table.add_row(image.name, built, size, image.reference)
    Console().print(table)


async def _build(settings: Settings, wish: Wish, display: StepDisplay) -> _Built:
    await run_steps((home_step(settings), engine_step(settings, may_install=wish.may_install)), display)
    built = _Built({})
    async with ImageStore(settings.engine) as store:

        async def one(name: str, report: Report) -> str:
            built.references[name] = await store.ensure(name, report)
            return built.references[name]

        names = wish.names or store.names
        await run_steps([Step(name, f"building {name}", partial(one, name)) for name in names], display)
        if wish.prune:
            built.removed = await store.prune()
    return built


async def _list(engine: EngineSettings) -> tuple[Image, ...]:
    async with ImageStore(engine) as store:
        return await store.list()


def _as_json(image: Image) -> dict[str, object]:
    return {
        "name": image.name,
        "base": image.base,
        "reference": image.reference,
        "built": image.built,
        "size_bytes": image.size_bytes,
        "created": image.created.isoformat() if image.created else None,
    }
