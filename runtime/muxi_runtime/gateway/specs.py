"""From a manifest to a sandbox's spec: what a server asks for, with the operator's limits and a real image."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from muxi_runtime.catalog.manifest import Manifest
from muxi_runtime.catalog.pins import identity_of
from muxi_runtime.catalog.tool_cache import content_key
from muxi_runtime.errors import MuxiError, UnknownToolError
from muxi_runtime.gateway.secret_book import SecretBook
from muxi_sandbox.contract import Spec
from muxi_sandbox.errors import SandboxError

__all__ = ["BUILD_PREFIX", "SpecBook"]

BUILD_PREFIX = "build:"
"""Images of this project: `build:NAME`."""


class SpecBook:
    """Makes specs for the servers of the catalog."""

    def __init__(
        self,
        manifests: Mapping[str, Manifest],
        resolve_image: Callable[[str], str],
        secrets: SecretBook | None = None,
    ) -> None:
        """`resolve_image` turns the NAME of `build:NAME` into a reference that the engine has.

        Without `secrets` what stands for one is of no use, and none is exposed: for trying a server.
        """
        self._secrets = secrets or SecretBook("", None)
        self.manifests = manifests
        self._resolve_image = resolve_image
        self._image_ids: dict[str, str] = {}

    def image(self, server: str) -> str:
        """The image's reference; of a server elsewhere, its URL.

        Raises:
            SandboxError: an image of this project that is not built.
        """
        manifest = self.manifests[server]
        if manifest.is_remote:
            return manifest.url
        image = manifest.image
        return self._resolve_image(image.removeprefix(BUILD_PREFIX)) if image.startswith(BUILD_PREFIX) else image

    def spec(self, task: str, server: str) -> Spec | SandboxError | MuxiError:
        """The spec, or why there is none."""
        manifest = self.manifests.get(server)
        if manifest is None:
            return UnknownToolError(f"There is no server {server!r}.")
        try:
            image = self.image(server)
            exposed = self._secrets.exposed(manifest)
        except (SandboxError, MuxiError) as error:
            return error
        return Spec(
            task=task,
            server=server,
            image=image,
            command=(*manifest.command, *manifest.arguments),
            init=manifest.init,
            environment={**manifest.environment, **self._secrets.placeholders(manifest), **exposed},
            workspace=manifest.profile.workspace,
            network=manifest.profile.network.allow,
            secrets=self._secrets.routes(manifest),
            exposed=tuple(exposed),
            limits=manifest.profile.limits,
            seccomp=manifest.profile.seccomp,
            runtime=manifest.profile.runtime,
        )

    async def note_image(self, server: str, image_id: Callable[[str], Awaitable[str]]) -> None:
        """Look what an image that is named by a tag is now. One of this project's is told by its name: it is ours.

        Raises:
            SandboxError: the engine does not have it, or does not answer.
        """
        image = self.manifests[server].image
        if image and not image.startswith((BUILD_PREFIX, "sha256:")):
            self._image_ids[server] = await image_id(image)

    def was_added(self, server: str) -> bool:
        """Whether a command added it, and a person has seen its tools then."""
        manifest = self.manifests.get(server)
        return manifest is not None and manifest.install is not None

    def identity(self, server: str) -> str:
        """Where it comes from and what exactly runs; for its pins. Empty for one that has no manifest."""
        manifest = self.manifests.get(server)
        if manifest is None:
            return ""
        return identity_of(manifest, self._image_ids.get(server, manifest.image))

    def is_remote(self, server: str) -> bool:
        """Whether it is reached over HTTP, and not in a sandbox."""
        manifest = self.manifests.get(server)
        return manifest is not None and manifest.is_remote

    def url(self, server: str) -> str | None:
        """Where a server elsewhere is; `None` for any other."""
        manifest = self.manifests.get(server)
        return manifest.url if manifest is not None and manifest.is_remote else None

    def content_key(self, server: str) -> str | None:
        """A hash of all that decides which tools a server lists; `None` where its image is not named by content.

        Raises:
            SandboxError: see `image`.
        """
        manifest = self.manifests[server]
        if not (manifest.image.startswith((BUILD_PREFIX, "sha256:")) or "@sha256:" in manifest.image):
            return None
        return content_key(manifest, self.image(server))
