"""The same echo server behind our gateway, behind others, and with nothing before it: in one run, in turns.

Ours decides each call by policy, journals it durably, and has the server in a sandbox; the peers do none of that.
"""

from __future__ import annotations

import operator
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tests.benchmarks.arithmetic import Figure, Ratio, figure, ratio
from tests.benchmarks.endpoints import Endpoint, open_asks, piped_asks
from tests.benchmarks.engine_share import attached_asks, busy_ms, engine_pids
from tests.benchmarks.gateway_timings import ECHO, TOOLS
from tests.benchmarks.journal_share import journal_share
from tests.benchmarks.load import Ask, full_load, one_at_a_time, paced_load
from tests.benchmarks.peers.gateways import PEERS, Peer, Program, started
from tests.benchmarks.peers.places import PeerMissingError
from tests.support.running import Running

from muxi_sandbox.docker.settings import EngineSettings

__all__ = ["HEADINGS", "Beside", "measure_beside"]

CONNECTIONS = 16
SINGLE_CALLS = 60
SECONDS = 2.0
"""Of load in one turn."""
WARM_SECONDS = 0.5
SERVER = (sys.executable, "-I", "-S", str(ECHO), str(TOOLS))
CONSTANT_ANSWERS = Path(__file__).with_name("constant_answers.py")
UVICORN_ANSWERS = Path(__file__).with_name("uvicorn_answers.py")
DIRECT, CONSTANT, UVICORN = "no gateway, stdio", "constant answer, HTTP", "constant answer, uvicorn"
ATTACHED = "no gateway, a sandbox's streams"
JOURNAL = "two durable events alone: processor time"
MOST = "calls/s that engine and server alone could carry here"
OURS, OURS_LEGACY = "muxi-runtime, 2026-07-28", "muxi-runtime, 2025-11-25"
HEADINGS = (
    "behind",
    "p50 of one call, ms",
    f"calls/s at {CONNECTIONS} connections",
    "p99 there, ms",
    "its processor time for a call there, ms",
    "the engine's, ms",
    "the load's own share of a core",
)
ERAS = {False: "2025-11-25", True: "2026-07-28"}


@dataclass(slots=True)
class _Subject:
    """Who is asked, and what came of it so far: ms of calls, and each turn's calls per second."""

    name: str
    asks: Sequence[Ask]
    pid: int = 0
    """Of the gateway's process; 0 where there is none."""
    is_peer: bool = False
    engine: Callable[[], list[int]] | None = None
    """The engine's processes, for what goes through it."""
    server: Callable[[], list[int]] | None = None
    """Those of the server that is asked, where they are known."""
    single: list[float] = field(default_factory=list)
    loaded: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    shares: list[float] = field(default_factory=list)
    """Of one core, what the load's own process took in each turn."""
    busy: list[float] = field(default_factory=list)
    """Processor time of the gateway's process for one call, in ms, in each turn."""
    carried: list[float] = field(default_factory=list)
    """That of the engine's processes, likewise."""
    served: list[float] = field(default_factory=list)
    """And that of the server's."""

    async def turn(self) -> None:
        """One round's."""
        await full_load(self.asks, WARM_SECONDS)
        self.single += (await one_at_a_time(self.asks[0], SINGLE_CALLS)).taken
        sides = (
            ([self.pid] if self.pid else [], self.busy),
            (self.engine() if self.engine else [], self.carried),
            (self.server() if self.server else [], self.served),
        )
        before = [busy_ms(pids) for pids, _ in sides]
        started_at, own = time.perf_counter(), time.process_time()
        load = await full_load(self.asks, SECONDS)
        self.shares.append((time.process_time() - own) / (time.perf_counter() - started_at))
        for (pids, taken), then in zip(sides, before, strict=True):
            taken.append((busy_ms(pids) - then) / len(load.taken))
        self.loaded += load.taken
        self.rates.append(load.rate)

    @property
    def rate(self) -> float:
        return statistics.median(self.rates)


@dataclass(frozen=True, slots=True)
class Beside:
    """What came of it: figures and ratios, the same as a table for people, and why rows are missing."""

    figures: list[Figure]
    ratios: list[Ratio]
    table: list[tuple[str, ...]]
    missing: list[str]


async def measure_beside(running: Running, tool: str, rounds: int) -> Beside:
    """All of them; the runtime has the echo server alone, `tool` is its first tool there."""
    async with AsyncExitStack() as stack:
        subjects, missing = await _subjects(stack, running, tool)
        for _ in range(rounds):
            for subject in subjects:
                await subject.turn()
        ours = next(subject for subject in subjects if subject.name == OURS)
        best = max((subject for subject in subjects if subject.is_peer), key=lambda s: s.rate, default=None)
        paced: list[float] = []
        for _ in range(rounds if best else 0):
            await full_load(ours.asks, WARM_SECONDS)
            paced += (await paced_load(ours.asks, best.rate if best else 1, SECONDS)).taken
        journal = [await journal_share(CONNECTIONS) for _ in range(rounds)]
    came = _summary(subjects, missing, ours, best, paced)
    came.figures.append(figure(JOURNAL, "ms", journal))
    if best is not None:
        came.ratios.extend(_room_ratios(subjects, ours, best, statistics.median(journal)))
    return came


async def _subjects(stack: AsyncExitStack, running: Running, tool: str) -> tuple[list[_Subject], list[str]]:
    async def add(name: str, endpoint: Endpoint, pid: int, *, is_peer: bool = False, boxed: bool = False) -> None:
        asks = await stack.enter_async_context(open_asks(endpoint, CONNECTIONS))
        subjects.append(_Subject(name, asks, pid, is_peer, engine if boxed else None))

    settings = EngineSettings()
    engine = partial(engine_pids, settings)
    attached = await stack.enter_async_context(attached_asks(settings, CONNECTIONS))
    subjects = [
        _Subject(DIRECT, await stack.enter_async_context(piped_asks(SERVER, CONNECTIONS))),
        _Subject(ATTACHED, attached.asks, engine=engine, server=attached.server_pids),
    ]
    for name, program in ((CONSTANT, CONSTANT_ANSWERS), (UVICORN, UVICORN_ANSWERS)):
        constant, pid = stack.enter_context(started(_answering(program)))
        await add(name, Endpoint(f"{constant}/mcp", "echo0", modern=True), pid)
    await add(OURS, Endpoint(running.url, tool, modern=True), running.pid, boxed=True)
    await add(OURS_LEGACY, Endpoint(running.url, tool, modern=False), running.pid, boxed=True)
    missing: list[str] = []
    for peer in PEERS:
        try:
            address, pid = _start(stack, peer)
            for modern in peer.modern:
                endpoint = Endpoint(f"{address}/mcp", "echo0", modern)
                await add(f"{peer.name} {peer.version}, {ERAS[modern]}", endpoint, pid, is_peer=True)
        except (PeerMissingError, OSError, RuntimeError) as error:
            missing.append(f"{peer.name} {peer.version} was not measured: {error}.")
    return subjects, missing


def _answering(program: Path) -> Callable[[int], Program]:
    return lambda port: Program([sys.executable, program, str(port)])


def _start(stack: AsyncExitStack, peer: Peer) -> tuple[str, int]:
    """Install it if need be, and start it until the stack is left; its address and its process's id."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="muxi-bench-peer-")))
    return stack.enter_context(started(lambda port: peer.program(SERVER, port, folder)))


def _summary(
    subjects: Sequence[_Subject], missing: list[str], ours: _Subject, best: _Subject | None, paced: Sequence[float]
) -> Beside:
    figures: list[Figure] = []
    table = []
    for subject in subjects:
        single, loaded = figure(f"{subject.name}: one call", "ms", subject.single), _loaded(subject)
        rate = figure(f"{subject.name}: {CONNECTIONS} connections", "calls/s", subject.rates)
        figures += [single, loaded, rate]
        share = statistics.median(subject.shares)
        busy = statistics.median(subject.busy)
        if subject.pid:
            figures.append(figure(f"{subject.name}: processor time of a call", "ms", subject.busy))
        if subject.engine:
            figures.append(figure(f"{subject.name}: the engine's processor time of a call", "ms", subject.carried))
        if subject.server:
            figures.append(figure(f"{subject.name}: the server's processor time of a call", "ms", subject.served))
        table.append(
            (
                subject.name,
                f"{single.median:.2f}",
                f"{rate.median:.0f}",
                f"{_p99(loaded):.1f}",
                f"{busy:.2f}" if subject.pid else "",
                f"{statistics.median(subject.carried):.2f}" if subject.engine else "",
                f"{share:.0%}",
            )
        )
    if best is None:
        return Beside(figures, [], table, missing)
    at_rate = figure(f"{ours.name}: at the full rate of {best.name}", "ms", paced)
    faster = ratio(f"calls/s at {CONNECTIONS} connections / {best.name}", ours.rates, best.rates, "at least 5")
    slowest = _p99(at_rate) / _p99(_loaded(best))
    told = f"99th percentile at the full rate of {best.name} / its own"
    table.append((at_rate.name, "", f"{best.rate:.0f}", f"{_p99(at_rate):.1f}", "", "", ""))
    most = Ratio(f"{MOST} / {best.name}", _most(subjects) / best.rate, "at least 5")
    return Beside([*figures, at_rate], [faster, Ratio(told, slowest, "at most 1"), most], table, missing)


def _most(subjects: Sequence[_Subject]) -> float:
    """Calls a second that this machine's processors could carry if gateway, clients and load took nothing."""
    alone = next(subject for subject in subjects if subject.name == ATTACHED)
    taken = statistics.median(map(operator.add, alone.carried, alone.served))
    return (os.cpu_count() or 1) * 1000 / taken


def _room_ratios(subjects: Sequence[_Subject], ours: _Subject, best: _Subject, journal: float) -> list[Ratio]:
    """Our processor time for a call, beside what this machine would leave for it at five times the peer's rate.

    Engine, server and load take their share of the processors' time; a call's HTTP, its two events and its way to the
    sandbox and back are what nothing can be left out of.
    """
    by_name = {subject.name: subject for subject in subjects}
    alone = by_name[ATTACHED]
    others = statistics.median(map(operator.add, alone.carried, alone.served))
    others += statistics.median(own * 1000 / rate for own, rate in zip(ours.shares, ours.rates, strict=True))
    left = (os.cpu_count() or 1) * 1000 / (5 * best.rate) - others
    way = statistics.median(own * 1000 / rate for own, rate in zip(alone.shares, alone.rates, strict=True))
    least = statistics.median(by_name[UVICORN].busy) + journal + way
    of = f"what is left of this machine for it at five times the rate of {best.name}"
    return [
        Ratio(f"processor time of a call / {of}", statistics.median(ours.busy) / left, "at most 1"),
        Ratio(f"that of HTTP, journal and a sandbox's streams alone / {of}", least / left, ""),
    ]


def _loaded(subject: _Subject) -> Figure:
    return figure(f"{subject.name}: a call of {CONNECTIONS} at once", "ms", subject.loaded)


def _p99(of: Figure) -> float:
    return of.p99 or of.high
