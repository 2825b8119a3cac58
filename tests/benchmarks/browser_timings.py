"""The browser server beside `@playwright/mcp`: both with Debian's Chromium, the same limits, behind one gateway.

A first navigation is that of a task of its own: the sandbox is made, and Chromium starts in it. A later one is of the
same page in the same browser.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import mcp_types as types
from anyio import to_thread
from docker import APIClient
from tests.benchmarks.arithmetic import Figure, Ratio, figure, ratio
from tests.benchmarks.memory import container_mib
from tests.benchmarks.timings import timed
from tests.support.browser_site import BrowserSite, browser_site
from tests.support.registries import registry_hosts
from tests.support.running import Running, running_runtime

from muxi_sandbox.docker.images import ImageStore
from muxi_sandbox.docker.settings import EngineSettings

__all__ = ["BrowserScene", "browser_scene", "ensure_image", "measure_browsers"]

MB = 10**6
LATER = 5
PEER = "@playwright/mcp"
ADDRESS = "127.0.0.9"


@dataclass(frozen=True, slots=True)
class BrowserScene:
    """A runtime with both servers, and the site that they may reach."""

    running: Running
    site: BrowserSite


@dataclass(frozen=True, slots=True)
class Contestant:
    """One of the two."""

    name: str
    server: str
    tool: str


CONTESTANTS = (
    Contestant("browser", "browser", "browser__open"),
    Contestant(PEER, "playwright", "playwright__browser_navigate"),
)


@contextmanager
def browser_scene(home: Path) -> Iterator[BrowserScene]:
    """Up for the block, the peer installed."""
    with browser_site(ADDRESS) as site:
        sections = {
            "egress": {"private": [site.place, *registry_hosts()]},
            "servers": {"browser": {"network": {"allow": [site.place]}}},
            # Each is made when it is wanted: one that is ready would be weighed in place of the one with the page.
            "pool": {"floor": 0, "ceiling": 0},
        }
        with running_runtime(home, sections) as running:
            options = (
                "--debian",
                "chromium",
                "--browser",
                "--arg=--headless",
                "--arg=--isolated",
                "--allow",
                site.place,
            )
            # Without it Chromium would take the site, which is on loopback, for the sandbox's own.
            proxy = "--arg=--proxy-server=http://127.0.0.1:3128"
            program = "--arg=--executable-path=/usr/bin/chromium"
            running.json("servers", "add", f"npm:{PEER}", "--name", "playwright", *options, proxy, program, "--yes")
            yield BrowserScene(running, site)


@dataclass(frozen=True, slots=True)
class Visit:
    """What one task cost: ms of navigations, MiB of the sandbox with one page, MB of its image."""

    navigations: list[float]
    mib: float
    image_mb: float


async def measure_browsers(
    scene: BrowserScene, settings: EngineSettings, rounds: int
) -> tuple[list[Figure], list[Ratio]]:
    """Take all samples, the two in turns; the first round only warms up."""
    visits: dict[str, list[Visit]] = {one.name: [] for one in CONTESTANTS}
    with APIClient(base_url=f"unix://{settings.socket}", version="auto") as engine:
        for number in range(rounds + 1):
            for one in CONTESTANTS:
                visit = await _visit(scene, one, engine)
                if number:
                    visits[one.name].append(visit)
    figures = []
    for name, taken in visits.items():
        later = [ms for visit in taken for ms in visit.navigations[1:]]
        figures += [
            figure(f"{name}: first navigation, Chromium cold", "ms", [visit.navigations[0] for visit in taken]),
            figure(f"{name}: later navigation", "ms", later),
            figure(f"{name}: memory of the sandbox with one page", "MiB", [visit.mib for visit in taken]),
            figure(f"{name}: image", "MB", [taken[0].image_mb]),
        ]
    return figures, _ratios(*(visits[one.name] for one in CONTESTANTS))


def _ratios(ours: Sequence[Visit], theirs: Sequence[Visit]) -> list[Ratio]:
    parts: dict[str, Callable[[Visit], float]] = {
        "first navigation": lambda visit: visit.navigations[0],
        "later navigation": lambda visit: statistics.median(visit.navigations[1:]),
        "memory with one page": lambda visit: visit.mib,
        "image": lambda visit: visit.image_mb,
    }
    return [
        ratio(f"{name}: browser / {PEER}", [part(visit) for visit in ours], [part(visit) for visit in theirs])
        for name, part in parts.items()
    ]


async def _visit(scene: BrowserScene, one: Contestant, engine: APIClient) -> Visit:
    """A task of its own, ended with the session."""
    async with scene.running.client(mode="legacy", elicitation_callback=_allow) as client:

        async def navigate() -> None:
            result = await client.call_tool(one.tool, {"url": f"{scene.site.url}/"})
            if result.is_error:
                raise RuntimeError(f"{one.name} did not open the page: {result.content}")

        navigations = [await timed(navigate) for _ in range(1 + LATER)]
        labels = {"label": [f"muxi.installation={scene.running.installation}", f"muxi.server={one.server}"]}
        youngest = engine.containers(filters=labels)[0]["Id"]
        mib = await to_thread.run_sync(container_mib, engine, youngest)
        size = engine.inspect_image(engine.inspect_container(youngest)["Image"])["Size"]
    return Visit(navigations, mib, size / MB)


async def _allow(_context: object, _params: types.ElicitRequestParams) -> types.ElicitResult:
    return types.ElicitResult(action="accept", content={"allow": True})


async def ensure_image(settings: EngineSettings) -> None:
    """The browser's image, which `up` would build only after it serves."""
    async with ImageStore(settings) as images:
        await images.ensure("browser", print)
