"""Another project's way to run Python in a container of the same image, on the same engine, in the same rounds."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from anyio import to_thread
from docker import DockerClient
from tests.benchmarks.timings import Measure

__all__ = ["LLM_SANDBOX", "peer_measures"]

LLM_SANDBOX = "llm-sandbox: run"
START = "ln -s /usr/bin/python3 /usr/local/bin/python; exec sleep 3600"
"""It runs `python`, which the image calls `python3`. All else but a network, which it does not need, is its own."""


@asynccontextmanager
async def peer_measures(socket: Path, image: str) -> AsyncIterator[list[Measure]]:
    """Runs in a session that is open already; none where llm-sandbox is not installed."""
    if find_spec("llm_sandbox") is None:
        yield []
        return
    client = DockerClient(base_url=f"unix://{socket}", version="auto")
    session = await to_thread.run_sync(open_session, client, image)

    def run() -> float:
        started = time.perf_counter()
        outcome = session.run("print(1)")
        taken = (time.perf_counter() - started) * 1000
        if outcome.exit_code or outcome.stdout != "1\n":
            raise RuntimeError(f"llm-sandbox did not run the program: {outcome}")
        return taken

    try:
        yield [Measure(LLM_SANDBOX, lambda: to_thread.run_sync(run), repeat=3)]
    finally:
        await to_thread.run_sync(session.close)
        client.close()


def open_session(client: DockerClient, image: str) -> Any:
    """A session, opened."""
    from llm_sandbox import SandboxSession  # noqa: PLC0415  # only where it is installed

    session = SandboxSession(
        client=client,
        lang="python",
        image=image,
        keep_template=True,
        skip_environment_setup=True,
        workdir="/tmp",
        runtime_configs={"network_mode": "none", "user": "root", "entrypoint": ["sh", "-c", START]},
    )
    session.open()
    return session
