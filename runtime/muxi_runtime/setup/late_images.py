"""Builds the large images of built-in servers while the runtime serves already: until then only their servers wait.

Above: `wiring`, which starts it. Images without which the runtime would be incomplete are built before it starts.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import anyio

from muxi_runtime.catalog.manifest import Manifest
from muxi_runtime.gateway.specs import BUILD_PREFIX
from muxi_sandbox.errors import ImageMissingError, SandboxError

__all__ = ["LateImages"]

logger = logging.getLogger(__name__)

LOOK_SECONDS = 15


@dataclass(slots=True)
class LateImages:
    """What each image of this project is called on the engine, and the building of those that are not there yet.

    Attributes:
        references: by image name; `None`: not built.
        build: makes the image of a name, and returns its reference; `None`: none can be made.
    """

    references: dict[str, str | None]
    build: Callable[[str], Awaitable[str]] | None = None
    _problems: dict[str, str] = field(default_factory=dict)

    def reference(self, name: str) -> str:
        """What the engine has it under.

        Raises:
            ImageMissingError: it is not built, or not yet.
        """
        found = self.references.get(name)
        if found is not None:
            return found
        if name in self._problems:
            raise ImageMissingError(
                f"The image {name!r} could not be built: {self._problems[name]} "
                f"Mend that, run `muxi-runtime images build {name}`, then restart."
            )
        if self.build is not None and name in self.references:
            raise ImageMissingError(
                f"The image {name!r} is being built, which takes some minutes the first time. Try again then; "
                "`muxi-runtime images list` shows when it is there."
            )
        raise ImageMissingError(f"The image {name!r} is not built: run `muxi-runtime images build`, then restart.")

    async def run(self, manifests: Callable[[], Mapping[str, Manifest]], built: Callable[[], None]) -> None:
        """Build what the servers of the catalog want, as it is now, for ever; `built` is called after each.

        One that fails is not tried again before the next start.
        """
        while self.build is not None:
            for name in self._missing(manifests()):
                await self._build(self.build, name)
                built()
            await anyio.sleep(LOOK_SECONDS)

    def _missing(self, manifests: Mapping[str, Manifest]) -> list[str]:
        wanted = {
            manifest.image.removeprefix(BUILD_PREFIX): None
            for manifest in manifests.values()
            if manifest.built_in and manifest.image.startswith(BUILD_PREFIX)
        }
        return [name for name in wanted if name in self.references and not self._is_settled(name)]

    def _is_settled(self, name: str) -> bool:
        return self.references[name] is not None or name in self._problems

    async def _build(self, build: Callable[[str], Awaitable[str]], name: str) -> None:
        logger.info("building the image %s", name)
        try:
            self.references[name] = await build(name)
        except SandboxError as error:
            self._problems[name] = str(error)
            logger.warning("the image %s could not be built: %s", name, error)
        else:
            logger.info("the image %s is there", name)
