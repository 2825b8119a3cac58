"""`python -m tests.benchmarks [--quick] [--out FOLDER]`, from the repository's root; `make bench` calls it.

Measures are taken in rounds, one after the other in each, so that this machine's drift falls on all of them.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack
from functools import partial
from pathlib import Path

import anyio
from anyio import to_thread
from docker import APIClient
from rich.console import Console
from tests.benchmarks.arithmetic import Figure, Ratio, figure, ratio
from tests.benchmarks.beside_gateways import HEADINGS, Beside, measure_beside
from tests.benchmarks.browser_timings import browser_scene, ensure_image, measure_browsers
from tests.benchmarks.egress_timings import egress_measures
from tests.benchmarks.gateway_timings import measure_gateway
from tests.benchmarks.growth_timings import TOOL, measure_growth, runtimes_of_each_size
from tests.benchmarks.memory import SERVERS, container_mib, idle_sandbox_mib
from tests.benchmarks.peer_timings import LLM_SANDBOX, peer_measures
from tests.benchmarks.pool_timings import (
    OpenGate,
    claim_measures,
    crowd,
    engine_crowd,
    first_call_measures,
    refill_samples,
)
from tests.benchmarks.report import show, show_table, write, write_table
from tests.benchmarks.timings import Measure, call_measures, engine_measures, lease_measures, stream_measures
from tests.support.running import Running, running_runtime

from muxi_sandbox.docker.backend import DockerBackend
from muxi_sandbox.docker.images import ImageStore
from muxi_sandbox.docker.settings import EngineSettings
from muxi_sandbox.egress.proxy import EgressProxy
from muxi_sandbox.egress.settings import EgressSettings

ROUNDS, QUICK_ROUNDS = 15, 3
CREATE, EXEC, COMMAND = "engine: create and start", "engine: exec python3 -c pass", "docker exec python3 -c pass"
READY, STAT = "cold lease, server answered", "call: files.stat"
FIRST = "warm claim and first call over HTTP"
IDLE = "memory: idle ready sandbox of code"
DIRECT_SET_UP, THROUGH_SET_UP = "egress: connect directly", "egress: connect through the proxy"
DIRECT, THROUGH = "egress: 10 MiB directly", "egress: 10 MiB through the proxy"
CLAIM = "warm claim: workspace mounted, egress listening"
RUN, SESSION = "call: code.run, a fresh Python process", "call: code.session_run, one statement"
RATIOS = (
    ("cold lease / engine create and start", "cold lease", CREATE, ""),
    ("cold lease with its server ready / engine create and start", READY, CREATE, ""),
    ("tool call on a leased sandbox / engine exec", STAT, EXEC, ""),
    ("fresh Python process through the gateway / docker exec", RUN, COMMAND, "at most 0.1"),
    ("fresh Python process through the gateway / engine exec, without a client", RUN, EXEC, ""),
    ("fresh Python process through the gateway / llm-sandbox", RUN, LLM_SANDBOX, "at most 0.05"),
    ("statement in a session through the gateway / docker exec", SESSION, COMMAND, "at most 0.04"),
    ("statement in a session through the gateway / engine exec, without a client", SESSION, EXEC, ""),
    ("warm claim / engine create and start", CLAIM, CREATE, "at most 0.01"),
    ("warm claim and first call over HTTP / engine create and start", FIRST, CREATE, "at most 0.04"),
    ("egress: 10 MiB directly / through the proxy", DIRECT, THROUGH, "at least 0.5"),
    ("attach round trip / engine exec", "attach: request and answer", EXEC, ""),
)


async def measure(running: Running, settings: EngineSettings, rounds: int) -> tuple[list[Figure], list[Ratio]]:
    """Take all samples."""
    async with AsyncExitStack() as stack:
        images = await stack.enter_async_context(ImageStore(settings))
        code, python = [await images.ensure(name, print) for name in ("code", "python")]
        await images.ensure("forwarder", print)
        egress = EgressProxy(EgressSettings(), OpenGate())
        backend = await stack.enter_async_context(DockerBackend(settings, f"bench-{os.getpid()}", egress=egress))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="muxi-bench-egress-")))
        measures = [
            *await stack.enter_async_context(engine_measures(settings.socket, code)),
            *lease_measures(backend, code),
            *await stack.enter_async_context(stream_measures(backend, code)),
            *await stack.enter_async_context(call_measures(running)),
            *claim_measures(backend, code),
            *await stack.enter_async_context(first_call_measures(running.url)),
            *await stack.enter_async_context(egress_measures(folder)),
            *await stack.enter_async_context(peer_measures(settings.socket, code)),
        ]
        samples, by_round = await take(measures, rounds)
        figures = [figure(name, "ms", values) for name, values in samples.items()]
        figures += await weigh(settings, backend, code, python, 1 + rounds // 5)
        # What is not installed was not measured: its line is left out.
        known = [row for row in RATIOS if row[2] in by_round]
        ratios = [ratio(name, by_round[over], by_round[under], goal) for name, over, under, goal in known]
        ratios += _beside_ratios(figures)
        more, pressed = await under_pressure(running, settings, backend, python, rounds)
    return [*figures, *more], [*ratios, *pressed]


def _beside_ratios(figures: Sequence[Figure]) -> list[Ratio]:
    """Goals that are no quotient of two medians."""
    by_name = {figure.name: figure for figure in figures}
    claim, create = by_name[CLAIM], by_name[CREATE]
    value = (claim.p99 or claim.high) / create.median
    added = by_name[THROUGH_SET_UP].median - by_name[DIRECT_SET_UP].median
    return [
        Ratio("99th percentile of a warm claim / engine create and start", value, "at most 0.05"),
        Ratio("egress: what the proxy adds to a connection's set-up, in ms", added, "at most 3"),
        Ratio("idle ready sandbox of code, in MiB", by_name[IDLE].median, "at most 14"),
    ]


async def under_pressure(
    running: Running, settings: EngineSettings, backend: DockerBackend, python: str, rounds: int
) -> tuple[list[Figure], list[Ratio]]:
    """A crowd against a pool that is too small, and calls while a pool refills."""
    tasks, held = (100, 20) if rounds == ROUNDS else (10, 2)
    alone = [await engine_crowd(settings.socket, python, tasks - held)]
    crowded = [await crowd(backend, python, tasks, held)]
    quiet, refilling = await refill_samples(running.url, 30 * rounds)
    figures = [
        figure(f"engine: {tasks - held} containers made and started", "ms", alone),
        figure(f"{tasks} tasks at once, {held} sandboxes ready", "ms", crowded),
        figure("call: files.stat, quiet", "ms", quiet),
        figure("call: files.stat, while the pool refills", "ms", refilling),
    ]
    still, busy = figures[2], figures[3]
    slowest = (busy.p99 or busy.high) / (still.p99 or still.high)
    name = f"{tasks} tasks at once against {held} ready / engine alone making {tasks - held}"
    return figures, [
        ratio(name, crowded, alone, "at most 1.2"),
        Ratio("99th percentile of calls while the pool refills / quiet", slowest, "at most 2"),
    ]


async def take(measures: Sequence[Measure], rounds: int) -> tuple[Mapping[str, list[float]], Mapping[str, list[float]]]:
    """All samples by name, and each round's median by name; the first round only warms up."""
    samples: dict[str, list[float]] = {m.name: [] for m in measures}
    by_round: dict[str, list[float]] = {m.name: [] for m in measures}
    for number in range(rounds + 1):
        for m in measures:
            taken = [await m.sample() for _ in range(m.repeat)]
            if number:
                samples[m.name] += taken
                by_round[m.name].append(statistics.median(taken))
    return samples, by_round


async def weigh(settings: EngineSettings, backend: DockerBackend, code: str, python: str, times: int) -> list[Figure]:
    """Memory of idle sandboxes, beside a container that only sleeps and a bare Python."""
    figures = []
    with APIClient(base_url=f"unix://{settings.socket}", version="auto") as client:
        for name, command in (
            ("memory: idle container (sleep)", ["sleep", "600"]),
            ("memory: bare Python that waits", ["python3", "-I", "-S", "-c", "import sys; sys.stdin.read()"]),
        ):
            weights = [await to_thread.run_sync(_weigh_plain, client, python, command) for _ in range(times)]
            figures.append(figure(name, "MiB", weights))
        for server in SERVERS:
            image = code if server == "code" else python
            weights = [await idle_sandbox_mib(client, backend, image, server) for _ in range(times)]
            figures.append(figure(f"memory: idle ready sandbox of {server}", "MiB", weights))
    return figures


def _weigh_plain(client: APIClient, image: str, command: list[str]) -> float:
    host = client.create_host_config(network_mode="none", init=True)
    labels = {"muxi.bench": "1"}
    container = client.create_container(image, command, host_config=host, stdin_open=True, labels=labels)["Id"]
    try:
        client.start(container)
        time.sleep(0.5)  # until it has started and is idle: nothing tells when
        return container_mib(client, container)
    finally:
        client.remove_container(container, force=True)


def main() -> None:
    """Run it, print the tables, write the files."""
    options = argparse.ArgumentParser(prog="python -m tests.benchmarks", description="Measure sandboxes and calls.")
    options.add_argument("--quick", action="store_true", help="a few rounds: to see that it works, not to quote")
    options.add_argument("--gateways", action="store_true", help="only calls, and other gateways beside this one")
    options.add_argument(
        "--browser", action="store_true", help="only the browser server, and @playwright/mcp beside it"
    )
    options.add_argument("--out", type=Path, default=Path("bench-results"))
    chosen = options.parse_args()
    rounds = QUICK_ROUNDS if chosen.quick else ROUNDS
    settings, console = EngineSettings(), Console()
    about = {"rounds": rounds, "processors": os.cpu_count(), "kernel": platform.release(), "load": os.getloadavg()}
    if chosen.browser:
        figures, ratios = measure_browser(settings, rounds, console)
        show(figures, ratios, console)
        console.print(f"Written to {write(chosen.out, figures, ratios, about)}")
        return
    figures, ratios = ([], []) if chosen.gateways else measure_sandboxes(settings, rounds, console)
    more, added, beside = measure_gateways(settings, rounds, console)
    figures, ratios = [*figures, *more], [*ratios, *added]
    show(figures, ratios, console)
    written = write(chosen.out, figures, ratios, about)
    if beside is not None:
        show_table(HEADINGS, beside.table, console)
        console.print("\n".join(beside.missing))
        write_table(chosen.out / "beside.md", HEADINGS, beside.table, beside.missing)
    console.print(f"Written to {written}")


def measure_sandboxes(settings: EngineSettings, rounds: int, console: Console) -> tuple[list[Figure], list[Ratio]]:
    """What sandboxes and calls on them cost."""
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="muxi-bench-"))
        hosts = {"files": {"network": {"allow": ["example.org"]}}}
        running = stack.enter_context(running_runtime(Path(folder) / "home", {"servers": hosts}))
        with console.status(f"measuring, {rounds} rounds"):
            return anyio.run(partial(measure, running, settings, rounds))


def measure_browser(settings: EngineSettings, rounds: int, console: Console) -> tuple[list[Figure], list[Ratio]]:
    """What a page costs in the browser server, and in another one."""
    anyio.run(ensure_image, settings)
    with (
        tempfile.TemporaryDirectory(prefix="muxi-bench-") as folder,
        browser_scene(Path(folder) / "home") as scene,
        console.status(f"browsers, {rounds} rounds"),
    ):
        return anyio.run(partial(measure_browsers, scene, settings, rounds))


def measure_gateways(
    settings: EngineSettings, rounds: int, console: Console
) -> tuple[list[Figure], list[Ratio], Beside | None]:
    """What the gateway adds and how that grows; others beside it, unless there are few rounds."""
    with tempfile.TemporaryDirectory(prefix="muxi-bench-") as folder, runtimes_of_each_size(Path(folder)) as sizes:
        with console.status("the gateway"):
            figures, ratios = anyio.run(partial(measure_gateway, sizes.many_servers, settings, rounds))
            figures += anyio.run(partial(measure_growth, sizes, rounds))
        if rounds <= QUICK_ROUNDS:
            return figures, ratios, None
        with console.status("other gateways beside it"):
            beside = anyio.run(partial(measure_beside, sizes.one, TOOL, rounds // 3))
    return [*figures, *beside.figures], [*ratios, *beside.ratios], beside


if __name__ == "__main__":
    main()
