"""An image of Debian's own network clients, unmodified, for tests of the way out of a sandbox."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import muxi_images
from muxi_sandbox.docker.images import ImageStore
from muxi_sandbox.docker.settings import EngineSettings

__all__ = ["ensure_client_image"]

NAME = "test-clients"
PACKAGES = "ca-certificates chromium curl git nodejs npm openssl python3 python3-httpx python3-pip python3-requests"
FILES = {
    "image.yaml": "base: debian:trixie-slim\ncontext: [apt]\n",
    "Dockerfile": f"""
ARG BASE
FROM ${{BASE}}
COPY .build/ /run/muxi-build/
RUN sh /run/muxi-build/apt-install {PACKAGES}
USER 65534:65534
""",
}


async def ensure_client_image(socket: Path) -> str:
    """Its reference; built once, which takes a minute or two, and by the same machinery as the project's images."""
    with tempfile.TemporaryDirectory(prefix="muxi-clients-") as folder:
        shutil.copytree(Path(muxi_images.__file__).parent / "shared", Path(folder) / "shared")
        (Path(folder) / NAME).mkdir()
        for name, text in FILES.items():
            (Path(folder) / NAME / name).write_text(text)
        async with ImageStore(EngineSettings(socket=socket), folder=Path(folder)) as images:
            return await images.ensure(NAME, print)
