"""How one image is made: its folder of `muxi_images`, read, and the hash of all that goes into it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from muxi_sandbox.errors import ImageBuildError

__all__ = ["OWN_PREFIX", "BuildFile", "Recipe", "load_recipes", "shared_file"]

OWN_PREFIX = "build:"
"""Marks a base (and a manifest's image) that is another image of this project."""

DESCRIPTION = "image.yaml"
SHARED = "shared"
LEFT_OUT = frozenset({DESCRIPTION, "README.md", "manifest.yaml", "requirements.in", "page.md", "tools.json"})
"""Files of a folder or of the servers that an image does not hold: a change in them rebuilds nothing."""


class ImageDescription(BaseModel):
    """The contents of `image.yaml`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    base: str = Field(min_length=1, description="`build:NAME`, or a reference such as `debian:trixie-slim`")
    context: tuple[Literal["apt", "pip"], ...] = Field(
        (),
        description="what the build installs with; `pip` installs from a requirements.txt with hashes, and needs `apt`",
    )
    servers: tuple[str, ...] = Field((), description="built-in servers that it holds, beside what they share")
    lazy: bool = Field(default=False, description="true: built when it is first needed, not before")


@dataclass(frozen=True, slots=True)
class BuildFile:
    """One file of a build context."""

    content: bytes
    executable: bool = False


@dataclass(frozen=True)
class Recipe:
    """One image, read from disk.

    Attributes:
        files: path in the build context to file; without what only this host adds, its transport.
        wants_apt: whether the host's way to a Debian mirror goes into the context.
        lazy: whether it is built only when something needs it.
    """

    name: str
    base: str
    files: Mapping[str, BuildFile]
    wants_apt: bool
    lazy: bool = False

    def digest(self, base_identity: str) -> str:
        """The first 12 hexadecimal digits of the SHA-256 of all inputs.

        Args:
            base_identity: the base image's id, or its own digest if it is one of ours.
        """
        whole = hashlib.sha256(f"muxi-image-1\0{self.name}\0{base_identity}\0".encode())
        for path, file in sorted(self.files.items()):
            whole.update(f"{path}\0{file.executable:d}\0{len(file.content)}\0".encode())
            whole.update(file.content)
        return whole.hexdigest()[:12]


def load_recipes(folder: Path, servers: Path | None) -> dict[str, Recipe]:
    """Every image below `folder`, by name.

    Args:
        folder: holds one folder per image, and `shared`.
        servers: the package `muxi_servers`; `None` if no recipe needs it.

    Raises:
        ImageBuildError: an `image.yaml` cannot be used; names the file.
    """
    return {path.parent.name: _load(path, servers) for path in sorted(folder.glob(f"*/{DESCRIPTION}"))}


def shared_file(folder: Path, name: str) -> BuildFile:
    """One of the files that builds share."""
    return BuildFile((folder / SHARED / name).read_bytes(), executable=True)


def _load(path: Path, servers: Path | None) -> Recipe:
    try:
        description = ImageDescription.model_validate(yaml.safe_load(path.read_bytes()))
    except (yaml.YAMLError, ValidationError) as error:
        raise ImageBuildError(f"{path} cannot be used: {error}") from error
    files = dict(_tree(path.parent, ""))
    wants_apt = "apt" in description.context
    shared = {"apt": ["apt-install"], "pip": ["pip-install"]}
    for name in (name for kind in description.context for name in shared[kind]):
        files[f".build/{name}"] = shared_file(path.parent.parent, name)
    files.update(_servers(path, description.servers, servers))
    return Recipe(path.parent.name, description.base, files, wants_apt, description.lazy)


def _servers(path: Path, names: tuple[str, ...], folder: Path | None) -> Iterator[tuple[str, BuildFile]]:
    """Some servers of the package, and what all of them share: a change in another one rebuilds nothing."""
    if not names:
        return
    if folder is None:
        raise ImageBuildError(f"{path} needs the built-in servers, and the package muxi_servers is not installed")
    yield "muxi_servers/__init__.py", BuildFile((folder / "__init__.py").read_bytes())
    for name in ("kit", *names):
        if not (folder / name).is_dir():
            raise ImageBuildError(f"{path} names the server {name!r}, and there is none")
        yield from _tree(folder / name, f"muxi_servers/{name}/")


def _tree(folder: Path, prefix: str) -> Iterator[tuple[str, BuildFile]]:
    for path in sorted(folder.rglob("*")):
        if path.name in LEFT_OUT or "__pycache__" in path.parts or not path.is_file():
            continue
        # No mode but "may be run": a wheel and a checkout of the same commit must give the same hash.
        content = path.read_bytes()
        yield f"{prefix}{path.relative_to(folder).as_posix()}", BuildFile(content, content.startswith(b"#!"))
