"""A Debian base image where no registry answers: a root file system made by mmdebstrap on the host."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import anyio

from muxi_sandbox.docker.images.command import CommandFailedError, Progress, run_command
from muxi_sandbox.docker.images.transport import Transport
from muxi_sandbox.errors import ImageBuildError

__all__ = ["debian_suite", "make_debian"]

BUILD_SECONDS = 900
INSTALL_SECONDS = 300
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
PACKAGES = ("mmdebstrap", "debian-archive-keyring")
UNUSED_FOLDERS = ("/usr/share/doc/*", "/usr/share/info/*", "/usr/share/locale/*", "/usr/share/man/*")


def debian_suite(reference: str) -> str | None:
    """`trixie` for `debian:trixie-slim` and the like; `None` for what mmdebstrap cannot make."""
    match = re.fullmatch(r"debian:([a-z]+)(?:-slim)?", reference)
    return match[1] if match else None


async def make_debian(suite: str, target: Path, transport: Transport, progress: Progress) -> None:
    """Write a minimal root file system of the suite to `target`, as a tar archive. Takes 15 to 40 s.

    Raises:
        ImageBuildError: mmdebstrap is missing and may not be installed, or it failed; with its last lines.
    """
    command = ["mmdebstrap", "--variant=minbase", "--format=tar"]
    command += [f"--dpkgopt=path-exclude={folder}" for folder in UNUSED_FOLDERS]
    command += [f"--aptopt={option}" for option in transport.options]
    # The host's own proxies must not stay behind in the image.
    command.append('--customize-hook=rm -f "$1"/etc/apt/apt.conf.d/99mmdebstrap')
    command += [suite, str(target)]
    if transport.mirrors is not None:
        command += transport.mirrors.sources(suite)
    try:
        await _ensure_tool(progress)
        await run_command(command, seconds=BUILD_SECONDS, progress=progress)
    except CommandFailedError as error:
        raise ImageBuildError(f"The Debian base image could not be made: {error}") from error


async def _ensure_tool(progress: Progress) -> None:
    if shutil.which("mmdebstrap") and await anyio.Path(KEYRING).exists():
        return
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise ImageBuildError(
            "No registry gave the Debian base image, and it cannot be made here without mmdebstrap."
            f" Install it: sudo apt-get install {' '.join(PACKAGES)}"
        )
    progress(f"installing {', '.join(PACKAGES)}")
    for command in (
        ["apt-get", "update"],
        ["apt-get", "install", "-y", "--no-install-recommends", *PACKAGES],
    ):
        await run_command(
            command,
            seconds=INSTALL_SECONDS,
            progress=progress,
            environment={"DEBIAN_FRONTEND": "noninteractive"},
        )
