"""The step that sees to a container engine: use the one that answers, else start or install it where that is allowed.

An engine that does not answer is told apart from one that this user may not use: the cures differ.
"""

from __future__ import annotations

import getpass
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import anyio

from muxi_runtime.errors import SetupError
from muxi_runtime.setup.background import Background, log_tail
from muxi_runtime.setup.home import logs_folder
from muxi_runtime.setup.ping import Answer, ping
from muxi_runtime.setup.step import Report
from muxi_sandbox.docker.images.command import CommandFailedError, run_command

__all__ = ["EngineStep", "daemon_command"]

STEP = "engine"
PACKAGE = "docker.io"
PACKAGES = (PACKAGE, "iptables", "ca-certificates")
"""With what an engine needs for builds: network address translation, and certificates for registries."""
DEFAULT_SOCKETS = (Path("/var/run/docker.sock"), Path("/run/docker.sock"))
INSTALL_SECONDS = 600
SYSTEMD_SECONDS = 120
START_SECONDS = 60
POLL_SECONDS = 0.2


@dataclass(frozen=True)
class EngineStep:
    """See to an engine.

    Attributes:
        socket: where it answers.
        home: its log goes below, if it is started by hand.
        may_install: whether Debian's package may be installed when there is none.
    """

    socket: Path
    home: Path
    may_install: bool = False

    async def run(self, report: Report) -> str:
        """Give the engine's address.

        Raises:
            SetupError: there is none, and it may not or cannot be started.
        """
        answer = await ping(self.socket)
        if answer is Answer.ABSENT:
            await self._provide(report)
            answer = await ping(self.socket)
        if answer is not Answer.OK:
            raise self._refusal(answer)
        return f"answers at {self.socket}"

    async def _provide(self, report: Report) -> None:
        if self.socket not in DEFAULT_SOCKETS or os.geteuid() != 0:
            raise self._refusal(Answer.ABSENT)
        if daemon_path() is None:
            if not self.may_install or shutil.which("apt-get") is None:
                raise self._refusal(Answer.ABSENT)
            await self._install(report)
        if await ping(self.socket) is not Answer.OK:
            await self._start(report)

    async def _install(self, report: Report) -> None:
        report(f"installing {PACKAGE}")
        quiet = {"DEBIAN_FRONTEND": "noninteractive"}
        try:
            await run_command(["apt-get", "update"], seconds=INSTALL_SECONDS, progress=report, environment=quiet)
            await run_command(
                ["apt-get", "install", "-y", "--no-install-recommends", *PACKAGES],
                seconds=INSTALL_SECONDS,
                progress=report,
                environment=quiet,
            )
        except CommandFailedError as error:
            raise SetupError(
                f"The package {PACKAGE} could not be installed. {error}",
                step=STEP,
                remedy=f"Mend what apt says and run it again, or by hand: apt-get install {PACKAGE}",
            ) from error

    async def _start(self, report: Report) -> None:
        report("starting the engine")
        if await anyio.Path("/run/systemd/system").is_dir():
            await self._start_by_systemd(report)
        else:
            await self.start_by_hand(daemon_command(self.socket))

    async def _start_by_systemd(self, report: Report) -> None:
        try:
            await run_command(["systemctl", "enable", "--now", "docker"], seconds=SYSTEMD_SECONDS, progress=report)
        except CommandFailedError as error:
            raise SetupError(
                f"The engine could not be started. {error}",
                step=STEP,
                remedy="See why with `journalctl -u docker -n 50`.",
            ) from error

    async def start_by_hand(self, command: list[str]) -> Background:
        """Start the daemon as a process of its own that outlives this one, and wait until it answers.

        Raises:
            SetupError: it ended, or did not answer within 60 s; with the end of its log.
        """
        log = logs_folder(self.home) / "dockerd.log"
        daemon = Background.start(command, log)
        with anyio.move_on_after(START_SECONDS):
            while daemon.exit_code() is None:
                if await ping(self.socket) is Answer.OK:
                    return daemon
                await anyio.sleep(POLL_SECONDS)
        why = "did not answer in time" if daemon.exit_code() is None else f"ended with code {daemon.exit_code()}"
        raise SetupError(
            f"The engine {why}. The end of its log, {log}:\n{log_tail(log)}",
            step=STEP,
            remedy="Mend what the log says, or start an engine in your own way; then run `muxi-runtime up` again.",
        )

    def _refusal(self, answer: Answer) -> SetupError:
        if answer is Answer.FORBIDDEN:
            return SetupError(
                f"You may not use the container engine's socket {self.socket}.",
                step=STEP,
                remedy=f"Join its group and log in again: sudo usermod -aG docker {getpass.getuser()}",
            )
        if answer is Answer.BROKEN:
            return SetupError(
                f"What listens at {self.socket} does not answer as a container engine does.",
                step=STEP,
                remedy="Restart the engine (`sudo systemctl restart docker`), or name its socket as engine.socket.",
            )
        return SetupError(f"No container engine answers at {self.socket}.", step=STEP, remedy=self._cure())

    def _cure(self) -> str:
        if self.socket not in DEFAULT_SOCKETS:
            return "Start the engine of that socket, or take engine.socket out of muxi.yaml for the usual one."
        if daemon_path() is not None:
            return "Start it: sudo systemctl start docker (without systemd: sudo dockerd)"
        if os.geteuid() == 0:
            return f"Install it: muxi-runtime up --install-engine, or apt-get install {PACKAGE}"
        return f"Install and start it: sudo apt-get install {PACKAGE} && sudo usermod -aG docker {getpass.getuser()}"


def daemon_path() -> str | None:
    """The installed daemon, also where the search path of an ordinary user does not lead."""
    return shutil.which("dockerd") or shutil.which("dockerd", path="/usr/sbin:/usr/bin:/usr/local/bin")


def daemon_command(socket: Path) -> list[str]:
    """How to start the daemon by hand."""
    return [daemon_path() or "dockerd", "--host", f"unix://{socket}"]
