"""Removes what a dead process left on the engine. Labels say what belongs to the installation, not memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

from muxi_sandbox.docker.hardening import INSTALLATION_LABEL
from muxi_sandbox.errors import SandboxError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Iterable

    from muxi_sandbox.docker.engine import Engine, Json

__all__ = ["leftover_containers", "leftover_volumes", "reap"]

AT_ONCE = 8


def leftover_containers(listed: Iterable[Json], held: Collection[str]) -> list[str]:
    """Ids of listed containers with none of the `held` names. The engine writes names with a slash before them."""
    return [
        container["Id"]
        for container in listed
        if not {name.lstrip("/") for name in container.get("Names") or ()} & set(held)
    ]


def leftover_volumes(listed: Iterable[Json], held: Collection[str]) -> list[str]:
    """Names of listed volumes that are not `held`."""
    return [volume["Name"] for volume in listed if volume["Name"] not in held]


async def reap(
    engine: Engine, installation: str, containers: Callable[[], Collection[str]], volumes: Callable[[], Collection[str]]
) -> int:
    """Remove the installation's containers, then its volumes, that are not held; how many there were.

    `containers` and `volumes` name what is held. They are asked after the engine has listed, so that what was leased
    in between is seen.

    Raises:
        SandboxError: the engine could not list or remove; what could be removed is gone.
    """
    label = f"{INSTALLATION_LABEL}={installation}"
    found = await engine.containers(label)
    removed = await _each(engine.remove, leftover_containers(found, containers()))
    listed = await engine.volumes(label)
    return removed + await _each(engine.remove_volume, leftover_volumes(listed, volumes()))


async def _each(remove: Callable[[str], Awaitable[bool]], names: list[str]) -> int:
    limiter = anyio.CapacityLimiter(AT_ONCE)
    errors: list[SandboxError] = []
    removed = 0

    async def one(name: str) -> None:
        nonlocal removed
        async with limiter:
            try:
                was_there = await remove(name)
            except SandboxError as error:
                errors.append(error)
            else:
                removed += was_there

    async with anyio.create_task_group() as group:
        for name in names:
            group.start_soon(one, name)
    if errors:
        raise errors[0]
    return removed
