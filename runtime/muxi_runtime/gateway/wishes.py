"""Which sandboxes the pool should hold ready: for each server that can be started before its task, as many as set."""

from __future__ import annotations

from typing import TYPE_CHECKING

from muxi_runtime.catalog.pool_size import PoolSize
from muxi_sandbox.contract import Check, Spec, WorkspaceAccess
from muxi_sandbox.pool.pool import Wish

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from muxi_runtime.catalog.settings import ServerSettings
    from muxi_runtime.gateway.specs import SpecBook
    from muxi_sandbox.pool.settings import PoolSettings
    from muxi_sandbox.pool.shelf import ShelfReport

__all__ = ["pool_check", "pool_wishes"]

ANY_TASK = "pool"
"""A spec is asked for by task; the pool leaves it out."""


def pool_wishes(specs: SpecBook, servers: Mapping[str, ServerSettings], pool: PoolSettings) -> dict[str, Wish]:
    """By server. A server that keeps its working folder open cannot wait for a workspace: `warm` in its manifest."""
    wishes = {}
    for name, manifest in specs.manifests.items():
        spec = specs.spec(ANY_TASK, name)
        if (
            not isinstance(spec, Spec)
            or manifest.is_remote
            or (spec.workspace is not WorkspaceAccess.NONE and not manifest.warm)
        ):
            continue
        said = [servers[name].pool] if name in servers else []
        said += [manifest.pool, PoolSize(floor=pool.floor)] if manifest.built_in else [PoolSize(floor=0)]
        floor = next(size.floor for size in said if size.floor is not None)
        ceiling = next((size.ceiling for size in said if size.ceiling is not None), pool.ceiling)
        wishes[name] = Wish(spec, floor, ceiling)
    return wishes


def pool_check(reports: Sequence[ShelfReport]) -> Check:
    """One line for `status`. Calls work without a pool too, so it is never what makes a runtime unhealthy."""
    if not reports:
        return Check("pool", ok=True, detail="nothing is made ahead")
    shown = [report for report in reports if report.ready or report.wanted]
    ready = ", ".join(f"{report.server} {report.ready} of {report.wanted}" for report in shown) or "none"
    hits, misses = sum(report.hits for report in reports), sum(report.misses for report in reports)
    served = f"; {hits} of {hits + misses} found one ready" if hits + misses else ""
    failing = "".join(f"; {report.server} fails: {report.failing}" for report in reports if report.failing)
    return Check("pool", ok=True, detail=f"ready: {ready}{served}{failing}")
