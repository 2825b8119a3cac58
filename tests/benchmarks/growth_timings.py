"""How a call grows with servers, tools and open sessions: the same call on runtimes of different size, in turns."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.benchmarks.arithmetic import Figure, figure
from tests.benchmarks.gateway_timings import QUICK_SESSIONS, SERVERS, SESSIONS, TOOLS, write_manifests
from tests.benchmarks.http_calls import http_calls
from tests.benchmarks.timings import timed
from tests.support.running import Running, running_runtime

__all__ = ["TOOL", "Sizes", "measure_growth", "runtimes_of_each_size"]

TOOL = "echo0__echo0"


@dataclass(frozen=True, slots=True)
class Sizes:
    """Runtimes with the same server: alone, with the tools of a hundred in one, a hundred of it, and for sessions."""

    one: Running
    many_tools: Running
    many_servers: Running
    many_sessions: Running


@contextmanager
def runtimes_of_each_size(folder: Path) -> Iterator[Sizes]:
    """All up for the block."""
    with ExitStack() as stack:

        def up(name: str, servers: int, tools: int) -> Running:
            section = write_manifests(folder / name, servers, tools)
            return stack.enter_context(running_runtime(folder / name / "home", {"servers": section}))

        yield Sizes(
            up("one", 1, TOOLS),
            up("tools", 1, SERVERS * TOOLS),
            up("servers", SERVERS, TOOLS),
            up("sessions", 1, TOOLS),
        )


async def measure_growth(sizes: Sizes, rounds: int) -> list[Figure]:
    """A call of each, in turns."""
    sessions = SESSIONS if rounds > 3 else QUICK_SESSIONS
    told = {
        f"1 server, {TOOLS} tools": sizes.one,
        f"1 server, {SERVERS * TOOLS:,} tools": sizes.many_tools,
        f"{SERVERS} servers, {SERVERS * TOOLS:,} tools": sizes.many_servers,
        f"1 server, {TOOLS} tools, {sessions:,} sessions open": sizes.many_sessions,
    }
    async with AsyncExitStack() as stack:
        works = {}
        for name, running in told.items():
            client = await stack.enter_async_context(http_calls(running.url))
            works[name] = partial(client.call, TOOL, {})
            if running is sizes.many_sessions:
                for _ in range(sessions):
                    await client.open_session()
            await works[name]()  # takes the lease
        samples: dict[str, list[float]] = {name: [] for name in works}
        for _ in range(20 * rounds):
            for name, work in works.items():
                samples[name].append(await timed(work))
    return [figure(f"echo: {name}", "ms", taken) for name, taken in samples.items()]
