"""Images of servers that were added: one of ours, Debian packages if any are wanted, and what was installed.

The tree comes from a sandbox and is hostile: it reaches the engine as the plain tar that `WorkspaceFiles.pack` writes
(regular files and folders, no links, no devices), and nothing in it is run while the image is built.
"""

from __future__ import annotations

import hashlib
import io
import re
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO

from anyio import to_thread

from muxi_sandbox.docker.images.command import Progress
from muxi_sandbox.docker.images.recipe import BuildFile
from muxi_sandbox.docker.images.store import ImageStore
from muxi_sandbox.errors import ImageBuildError

__all__ = ["ADDED", "TREE", "AddedImage", "build_added"]

ADDED = "muxi-added"
"""The first part of their tags."""
TREE = "/opt/server"
"""Where the tree is in the image; everybody may read it, nobody may write."""
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]{1,100}")
"""Debian policy 5.6.1; no version, no option, no architecture."""


@dataclass(frozen=True, slots=True)
class AddedImage:
    """What to make it of.

    Attributes:
        name: the server's.
        base: the reference of an image of ours.
        tree: the tar, by its path; `None` for an image that only has packages besides.
        packages: Debian packages.
    """

    name: str
    base: str
    tree: Path | None
    packages: tuple[str, ...] = ()

    def check(self) -> None:
        """Refuse what is no package name: it would be read as an option, or as shell.

        Raises:
            ImageBuildError: naming it.
        """
        for package in self.packages:
            if not _PACKAGE.fullmatch(package):
                raise ImageBuildError(f"{package!r} is no name of a Debian package.")


async def build_added(store: ImageStore, wanted: AddedImage, progress: Progress) -> str:
    """Build it unless the engine has it; its id, `sha256:...`, which names exactly this content.

    Raises:
        EngineUnavailableError: no engine answers.
        ImageBuildError: a package is not to be had, or the engine does not take the tree.
    """
    wanted.check()
    tag = await to_thread.run_sync(_tag, wanted)
    found = await store.image_id(tag)
    if found is not None:
        return found
    files = {"Dockerfile": BuildFile(_dockerfile(wanted).encode())}
    if wanted.packages:
        files |= await store.apt_install(wanted.base)
    progress(f"building {tag}")
    with tempfile.TemporaryFile(prefix="muxi-context-") as context:
        await to_thread.run_sync(_write_context, context, files, wanted.tree)
        await store.build_context(context, tag, wanted.base, progress)
    built = await store.image_id(tag)
    if built is None:
        raise ImageBuildError(f"The engine built {tag} and does not have it.")
    return built


def _tag(wanted: AddedImage) -> str:
    """Content-addressed: the same inputs have the same tag."""
    whole = hashlib.sha256(f"muxi-added-1\0{wanted.base}\0{' '.join(wanted.packages)}\0".encode())
    if wanted.tree is not None:
        with wanted.tree.open("rb") as tree:
            while chunk := tree.read(2**20):
                whole.update(chunk)
    return f"{ADDED}/{wanted.name}:{whole.hexdigest()[:12]}"


def _dockerfile(wanted: AddedImage) -> str:
    lines = ["ARG BASE", "FROM ${BASE}", "USER 0:0"]
    if wanted.packages:
        lines += ["COPY .build/ /run/muxi-build/", f"RUN sh /run/muxi-build/apt-install {' '.join(wanted.packages)}"]
    if wanted.tree is not None:
        lines.append(f"ADD tree.tar {TREE}/")
    return "\n".join([*lines, "USER 65534:65534", ""])


def _write_context(context: IO[bytes], files: Mapping[str, BuildFile], tree: Path | None) -> None:
    with tarfile.open(fileobj=context, mode="w") as tar:
        for path, file in sorted(files.items()):
            _add(tar, path, io.BytesIO(file.content), len(file.content), executable=file.executable)
        if tree is not None:
            with tree.open("rb") as content:
                _add(tar, "tree.tar", content, tree.stat().st_size, executable=False)
    context.seek(0)


def _add(tar: tarfile.TarFile, path: str, content: BinaryIO, size: int, *, executable: bool) -> None:
    entry = tarfile.TarInfo(path)
    entry.size = size
    entry.mode = 0o755 if executable else 0o644
    tar.addfile(entry, content)
