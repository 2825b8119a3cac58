"""An engine that is installed and does not run is started by hand. A second daemon of our own stands for it."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from muxi_runtime.setup.background import Background
from muxi_runtime.setup.engine import EngineStep, daemon_command
from muxi_runtime.setup.home import prepare_home
from muxi_runtime.setup.ping import Answer, ping

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def place() -> Iterator[Path]:
    """Not below pytest's folder: the paths of the daemon's own sockets would be too long."""
    path = Path(tempfile.mkdtemp(prefix="muxi-engine-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


def own_daemon(place: Path, socket: Path) -> list[str]:
    # Its own configuration file, so that the machine's does not speak for it.
    (place / "daemon.json").write_text(json.dumps({}))
    return [
        # In a network namespace of its own: with no bridge wanted, dockerd removes the machine's docker0.
        *("unshare", "--net", "--"),
        *daemon_command(socket),
        f"--data-root={place}/data",
        f"--exec-root={place}/exec",
        f"--pidfile={place}/pid",
        f"--config-file={place}/daemon.json",
        "--bridge=none",
        "--iptables=false",
        "--ip6tables=false",
    ]


def end(daemon: Background) -> None:
    handle = os.pidfd_open(daemon.pid)
    try:
        signal.pidfd_send_signal(handle, signal.SIGTERM)
        assert select.select([handle], [], [], 60)[0], "the daemon did not end"
    finally:
        os.close(handle)
    daemon.exit_code()


async def test_a_daemon_that_is_started_by_hand_answers_and_outlives_the_start(place: Path):
    socket = place / "s"
    home = place / "home"
    prepare_home(home)
    step = EngineStep(socket, home)
    daemon = await step.start_by_hand(own_daemon(place, socket))
    try:
        assert await ping(socket) is Answer.OK
        assert await step.run(lambda _line: None) == f"answers at {socket}"
        assert os.getsid(daemon.pid) == daemon.pid
        assert "API listen on" in await anyio.Path(home / "logs" / "dockerd.log").read_text()
    finally:
        end(daemon)
    assert await ping(socket) is Answer.ABSENT
