"""A runtime as a person has it: brought up by the command, in a home of its own, on a free port."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

COMMAND = (sys.executable, "-P", "-m", "muxi_runtime")


@dataclass
class Running:
    """A runtime and the ways in."""

    home: Path
    url: str = ""
    pid: int = 0

    @property
    def installation(self) -> str:
        return (self.home / "installation").read_text().strip()

    def run(self, *arguments: str, check: bool = True, **options: Any) -> subprocess.CompletedProcess[str]:
        """The command on this home; its output as text."""
        done = subprocess.run(
            [*COMMAND, "--home", str(self.home), *arguments],
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
            **({} if "input" in options else {"stdin": subprocess.DEVNULL}),
            env={key: value for key, value in os.environ.items() if not key.startswith("MUXI_")},
            **options,
        )
        assert not check or done.returncode == 0, done.stderr
        return done

    def json(self, *arguments: str) -> Any:
        """What the command says to programs."""
        return json.loads(self.run(*arguments, "--json").stdout)

    def up(self) -> None:
        """Bring it up, and note where it is."""
        outcome = self.json("up")
        self.url, self.pid = outcome["url"], outcome["pid"]

    @asynccontextmanager
    async def client(self, *, mode: str = "auto", **options: Any) -> AsyncIterator[Client]:
        """An MCP client of either era."""
        headers = options.pop("headers", None)
        async with (
            httpx2.AsyncClient(headers=headers, timeout=120) as http,
            Client(
                streamable_http_client(self.url, http_client=http, max_sse_event_size=None),
                mode=mode,
                cache=None,
                **options,
            ) as client,
        ):
            yield client


@contextmanager
def running_runtime(home: Path, sections: dict[str, Any] | None = None, **gateway: Any) -> Iterator[Running]:
    """Up for the block, down after it. `gateway` are settings of that section, `sections` all others."""
    home.mkdir(parents=True, exist_ok=True)
    (home / "muxi.yaml").write_text(
        json.dumps({"gateway": {"port": 0, "approval_wait_seconds": 1, **gateway}, **(sections or {})})
    )
    running = Running(home)
    try:
        running.up()
        yield running
    finally:
        running.run("down")
