"""The images of this project on one engine: found by a hash of their inputs, built when they are missing.

Above: `up`, `images build` and whoever turns a manifest's `build:NAME` into a reference. Below: the engine's
image calls and, where no registry answers, mmdebstrap.
"""

from __future__ import annotations

import importlib.util
import re
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self, TypeVar

import anyio
from anyio import from_thread, to_thread

from muxi_sandbox.docker.images.base import debian_suite, make_debian
from muxi_sandbox.docker.images.command import Progress
from muxi_sandbox.docker.images.engine_images import EngineImages, context_of
from muxi_sandbox.docker.images.recipe import OWN_PREFIX, BuildFile, Recipe, load_recipes, shared_file
from muxi_sandbox.docker.images.transport import host_transport
from muxi_sandbox.docker.settings import EngineSettings
from muxi_sandbox.errors import ImageBuildError

__all__ = ["Image", "ImageStore"]

REPOSITORY = "muxi-runtime"
LABEL = "muxi.image"
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Image:
    """One image of ours.

    Attributes:
        reference: `muxi-runtime/NAME:HASH`; empty if it cannot be known before its base is there.
        size_bytes: on the engine, base included; `None` if it is not built.
        created: `None` if it is not built.
    """

    name: str
    base: str
    reference: str
    size_bytes: int | None = None
    created: datetime | None = None

    @property
    def built(self) -> bool:
        """Whether the engine has it, made from the inputs as they are now."""
        return self.size_bytes is not None


class ImageStore:
    """An async context manager; entering connects to the engine.

    Args:
        settings: which engine.
        folder: the images; the installed ones by default.
        repository: the first part of all tags, so that a test can have images of its own.
    """

    def __init__(self, settings: EngineSettings, *, folder: Path | None = None, repository: str = REPOSITORY) -> None:
        self._settings = settings
        self._folder = folder
        self._repository = repository
        self._building = anyio.Lock()

    async def __aenter__(self) -> Self:
        """Read the recipes and connect.

        Raises:
            EngineUnavailableError: no engine answers.
            ImageBuildError: an `image.yaml` cannot be used.
        """
        self._recipes = await to_thread.run_sync(_recipes, self._folder)
        self._engine = await to_thread.run_sync(EngineImages, self._settings)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        """Close the connection."""
        self._engine.__exit__(kind, error, at)

    @property
    def names(self) -> tuple[str, ...]:
        """Every image that can be built."""
        return tuple(self._recipes)

    @property
    def names_at_start(self) -> tuple[str, ...]:
        """Those without which the runtime would be incomplete; the others are built when they are first needed."""
        return tuple(name for name, recipe in self._recipes.items() if not recipe.lazy)

    async def find(self, name: str) -> str | None:
        """The reference of an image that is built from the inputs as they are now, or `None`."""
        tags = await to_thread.run_sync(self._engine.tagged)
        reference = self._reference(name, tags)
        return reference if reference in tags else None

    async def ensure(self, name: str, progress: Progress) -> str:
        """The reference of the image, which is built first if it is missing, and its base before it.

        Raises:
            EngineUnavailableError: no engine answers.
            ImageBuildError: no such image, its base cannot be had, or a step of its build failed.
        """
        async with self._building:
            return await self._ensure(name, progress)

    async def list(self) -> tuple[Image, ...]:
        """All images of ours, built or not."""
        tags = await to_thread.run_sync(self._engine.tagged)
        return tuple(self._image(recipe, tags) for recipe in self._recipes.values())

    async def prune(self) -> tuple[str, ...]:
        """Remove our images of former inputs that no container uses; their tags. Never others' images."""
        tags = await to_thread.run_sync(self._engine.tagged)
        current = {self._reference(name, tags) for name in self._recipes}
        ours = re.compile(rf"{re.escape(self._repository)}/[a-z0-9-]+:[0-9a-f]{{12}}")
        old = [
            tag
            for tag, image in tags.items()
            if ours.fullmatch(tag) and tag not in current and LABEL in (image.get("Labels") or {})
        ]
        return tuple([tag for tag in old if await to_thread.run_sync(self._engine.remove, tag)])

    async def image_id(self, reference: str) -> str | None:
        """The id, `sha256:...`, of what the engine has under a reference; `None` for nothing."""
        record = await self.image_record(reference)
        return None if record is None else str(record["Id"])

    async def image_record(self, reference: str) -> Mapping[str, Any] | None:
        """The engine's whole record of an image; `None` for nothing."""
        return await to_thread.run_sync(self._engine.record_of, reference)

    async def pull(self, reference: str, progress: Progress) -> bool:
        """Get an image of others from its registry; whether that worked."""
        return await self._in_thread(lambda line: self._engine.pull(reference, line), progress)

    async def apt_install(self, base: str) -> Mapping[str, BuildFile]:
        """What a build on `base` needs beside its Dockerfile to install Debian packages: path in the context to file.

        Args:
            base: the reference of an image of ours.

        Raises:
            ImageBuildError: it is none.
        """
        suite = self._suite(self._recipe(base.rpartition("/")[2].partition(":")[0]))

        def files() -> dict[str, BuildFile]:
            there = {name: BuildFile(content) for name, content in host_transport().files(suite).items()}
            return {**there, "apt-install": shared_file(self._folder or _images_folder(), "apt-install")}

        return {f".build/{name}": file for name, file in (await to_thread.run_sync(files)).items()}

    async def build_context(self, context: IO[bytes], tag: str, base: str, progress: Progress) -> None:
        """Build a context of somebody else's making, see `added`.

        Raises:
            ImageBuildError: a step failed; with the last lines.
        """
        transport = await to_thread.run_sync(host_transport)
        await self._in_thread(
            lambda line: self._engine.build(
                context,
                tag=tag,
                arguments={"BASE": base, **transport.proxies},
                labels={},
                host_network=transport.needs_host_network,
                line=line,
            ),
            progress,
        )

    async def _ensure(self, name: str, progress: Progress) -> str:
        tags = await to_thread.run_sync(self._engine.tagged)
        reference = self._reference(name, tags)
        if reference in tags:
            return reference
        recipe = self._recipe(name)
        if recipe.base.startswith(OWN_PREFIX):
            base = await self._ensure(recipe.base.removeprefix(OWN_PREFIX), progress)
        else:
            base = await self._ensure_base(recipe.base, tags, progress)
        tags = await to_thread.run_sync(self._engine.tagged)
        reference = self._reference(name, tags)
        if reference not in tags:
            await self._build(recipe, base, reference, progress)
        return reference

    async def _ensure_base(self, wanted: str, tags: dict[str, Any], progress: Progress) -> str:
        """Local, else pulled, else made."""
        imported = self._imported(wanted)
        for reference in (wanted, imported):
            if reference in tags:
                return reference
        progress(f"pulling {wanted}")
        if await self._in_thread(lambda line: self._engine.pull(wanted, line), progress):
            return wanted
        suite = debian_suite(wanted)
        if suite is None:
            raise ImageBuildError(
                f"The base image {wanted} is neither on this engine nor can it be pulled: load it first."
            )
        progress(f"making a Debian {suite} base from the package mirror")
        with tempfile.TemporaryDirectory(prefix="muxi-base-") as folder:
            archive = Path(folder) / "base.tar"
            await make_debian(suite, archive, await to_thread.run_sync(host_transport), progress)
            await to_thread.run_sync(self._engine.import_archive, archive, imported, {LABEL: wanted})
        return imported

    async def _build(self, recipe: Recipe, base: str, reference: str, progress: Progress) -> None:
        transport = await to_thread.run_sync(host_transport)
        files = dict(recipe.files)
        if recipe.wants_apt:
            files |= {
                f".build/{name}": BuildFile(content) for name, content in transport.files(self._suite(recipe)).items()
            }
        progress(f"building {reference}")
        await self._in_thread(
            lambda line: self._engine.build(
                context_of(files),
                tag=reference,
                arguments={"BASE": base, **transport.proxies},
                labels={LABEL: recipe.name},
                host_network=transport.needs_host_network,
                line=line,
            ),
            progress,
        )

    async def _in_thread(self, work: Callable[[Progress], T], progress: Progress) -> T:
        """Run blocking work whose lines come back to this thread; a cancellation ends it at its next line."""

        def line(text: str) -> None:
            from_thread.check_cancelled()
            from_thread.run_sync(progress, text)

        return await to_thread.run_sync(work, line)

    def _recipe(self, name: str) -> Recipe:
        if name not in self._recipes:
            known = ", ".join(self._recipes) or "none"
            raise ImageBuildError(f"There is no image {name!r} to build. There are: {known}.")
        return self._recipes[name]

    def _suite(self, recipe: Recipe) -> str:
        while recipe.base.startswith(OWN_PREFIX):
            recipe = self._recipe(recipe.base.removeprefix(OWN_PREFIX))
        return debian_suite(recipe.base) or ""

    def _imported(self, wanted: str) -> str:
        return f"{self._repository}/{wanted}"

    def _reference(self, name: str, tags: dict[str, Any]) -> str:
        """Its tag, or an empty string while its outermost base is not there to be hashed."""
        recipe = self._recipe(name)
        identity = self._base_identity(recipe.base, tags)
        return f"{self._repository}/{name}:{recipe.digest(identity)}" if identity else ""

    def _base_identity(self, base: str, tags: dict[str, Any]) -> str:
        if base.startswith(OWN_PREFIX):
            return self._reference(base.removeprefix(OWN_PREFIX), tags)
        image = tags.get(base) or tags.get(self._imported(base))
        return str(image["Id"]) if image else ""

    def _image(self, recipe: Recipe, tags: dict[str, Any]) -> Image:
        reference = self._reference(recipe.name, tags)
        record = tags.get(reference)
        if record is None:
            return Image(recipe.name, recipe.base, reference)
        return Image(
            recipe.name,
            recipe.base,
            reference,
            record["Size"],
            datetime.fromtimestamp(record["Created"], UTC),
        )


def _recipes(folder: Path | None) -> dict[str, Recipe]:
    return load_recipes(folder or _images_folder(), _package("muxi_servers"))


def _images_folder() -> Path:
    return _package("muxi_images") or Path()


def _package(name: str) -> Path | None:
    """Where a package lies, without importing it: its files are data here."""
    spec = importlib.util.find_spec(name)
    return Path(spec.origin).parent if spec is not None and spec.origin is not None else None
