"""`up` and `down` as a person types them: real processes, a real engine, a state folder of their own."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

pytestmark = pytest.mark.timeout(300)


@dataclass
class Installation:
    """A state folder with a configuration, and the command on it."""

    home: Path

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-P", "-m", "muxi_runtime", "--home", str(self.home), *arguments],
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    def up(self) -> dict:
        done = self.run("up", "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def configure(self, port: int) -> None:
        self.home.mkdir(exist_ok=True)
        (self.home / "muxi.yaml").write_text(f"gateway:\n  port: {port}\n")


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    installation = Installation(tmp_path / "home")
    installation.configure(port=0)
    yield installation
    installation.run("down")


def gone(pid: int) -> bool:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return True
    return text.rpartition(")")[2].split()[0] == "Z"


def test_up_ends_with_a_runtime_that_answers_and_down_ends_it(installation: Installation):
    outcome = installation.up()
    assert [step["name"] for step in outcome["steps"]] == ["home", "engine", "images", "port", "start"]
    assert outcome["was_running"] is False
    assert {"gateway", "engine", "journal", "servers"} <= {part["name"] for part in outcome["components"]}
    assert outcome["healthy"], outcome["components"]

    done = installation.run("down", "--json")
    assert json.loads(done.stdout) == {
        "was_running": True,
        "pid": outcome["pid"],
        "tasks": 0,
        "kept": 0,
        "killed": False,
    }
    assert gone(outcome["pid"])


def test_a_second_up_changes_nothing(installation: Installation):
    first, second = installation.up(), installation.up()
    assert second["was_running"] is True
    assert second["steps"] == []
    assert (second["pid"], second["url"]) == (first["pid"], first["url"])


def test_a_person_is_told_how_to_connect_and_how_to_stop(installation: Installation):
    done = installation.run("up")
    assert done.returncode == 0, done.stderr
    for expected in ("/mcp", "claude mcp add --transport http", "mcpServers", "connect", "down"):
        assert expected in done.stdout


def test_down_with_nothing_to_stop_is_no_error(installation: Installation):
    done = installation.run("down")
    assert done.returncode == 0
    assert "Nothing to stop" in done.stdout


def test_after_a_kill_the_next_up_starts_anew(installation: Installation):
    first = installation.up()
    os.kill(first["pid"], signal.SIGKILL)
    handle = os.pidfd_open(first["pid"])
    try:
        # Readable once the process has ended; nobody waits for it here, so it may stay a zombie of this session.
        assert select.select([handle], [], [], 30)[0]
    finally:
        os.close(handle)
    assert (installation.home / "runtime.json").exists()
    second = installation.up()
    assert second["was_running"] is False
    assert second["pid"] != first["pid"]


def test_a_taken_port_is_a_clear_error_before_anything_starts(installation: Installation):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        installation.configure(port)
        done = installation.run("up")
    assert done.returncode == 4
    assert f"Port {port} on 127.0.0.1 is taken" in done.stderr
    assert "muxi-runtime status" in done.stderr
    assert not (installation.home / "runtime.json").exists()


def test_a_configuration_that_cannot_be_used_is_told_before_any_step(installation: Installation):
    (installation.home / "muxi.yaml").write_text("gateway:\n  prot: 1\n")
    done = installation.run("up")
    assert done.returncode == 3
    assert "prot" in done.stderr


def test_an_engine_that_is_not_there_is_named_with_its_cure(installation: Installation, tmp_path: Path):
    (installation.home / "muxi.yaml").write_text(f"engine:\n  socket: {tmp_path}/no.sock\n")
    done = installation.run("up")
    assert done.returncode == 4
    assert f"No container engine answers at {tmp_path}/no.sock" in done.stderr
    assert "engine.socket" in done.stderr


def test_a_runtime_that_ends_while_it_starts_shows_why(installation: Installation):
    (installation.home / "runtime.db").mkdir(parents=True)
    done = installation.run("up")
    assert done.returncode != 0
    assert "while it started" in done.stderr
    assert "cannot be used: Is a directory" in done.stderr


def test_in_the_foreground_it_ends_in_order_when_told_to(installation: Installation):
    command = [sys.executable, "-P", "-m", "muxi_runtime", "--home", str(installation.home), "up", "--foreground"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True) as process:
        assert process.stderr is not None
        seen = ""
        for line in process.stderr:
            seen += line
            if "Started server process" in line:
                break
        else:
            pytest.fail(seen)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert process.returncode == 0
    assert not (installation.home / "runtime.json").exists()
