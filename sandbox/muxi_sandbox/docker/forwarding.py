"""The way to the egress proxy inside a sandbox: a forwarder on its loopback, and the variables that lead clients there.

Only for a spec that names hosts. Its command is started by the forwarder (`images/muxi_images/forwarder`), which leaves
a process of its own behind and then becomes the command. Any image will do, since the forwarder is mounted: it needs
nothing of what is there. It is mounted from a volume that the engine fills from the forwarder's image, so that it is
where the engine is, and may be executed, wherever the runtime's own files are.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import anyio

from muxi_sandbox.contract import Check
from muxi_sandbox.docker.hardening import RUN, labels_of
from muxi_sandbox.docker.images import ImageStore
from muxi_sandbox.docker.slots import CERTIFICATE_NAME
from muxi_sandbox.errors import SandboxError, SpecRefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from muxi_sandbox.contract import Spec
    from muxi_sandbox.docker.engine import Engine, Json
    from muxi_sandbox.docker.settings import EngineSettings

__all__ = ["FORWARDER", "PROXY_URL", "PROXY_VARIABLES", "TRUST_VARIABLES", "Forwarder", "command_of", "forwarded"]

log = logging.getLogger(__name__)

IMAGE = "forwarder"
FILLED_FROM = "/opt/muxi"
"""The folder of the image that holds the program."""
FOLDER = "/run/muxi-forwarder"
FORWARDER = f"{FOLDER}/forward"
LABEL = "muxi.forwarder"
CLEAN_UP_SECONDS = 10

PROXY_URL = "http://127.0.0.1:3128"
_LOOPBACK = "localhost,127.0.0.1,::1"
PROXY_VARIABLES: Mapping[str, str] = {
    "HTTP_PROXY": PROXY_URL,
    "HTTPS_PROXY": PROXY_URL,
    "NO_PROXY": _LOOPBACK,
    # curl and others read these in lower case only: CGI once made HTTP_PROXY a header that a caller sets.
    "http_proxy": PROXY_URL,
    "https_proxy": PROXY_URL,
    "no_proxy": _LOOPBACK,
    # Node's own fetch and https follow the others with this: 22.21, 24 and newer.
    "NODE_USE_ENV_PROXY": "1",
}

CERTIFICATE = f"{RUN}/{CERTIFICATE_NAME}"
TRUST_VARIABLES: Mapping[str, str] = dict.fromkeys(
    (
        "SSL_CERT_FILE",  # OpenSSL, and with it Python, curl, wget; also Go and Ruby
        "CURL_CA_BUNDLE",
        "REQUESTS_CA_BUNDLE",
        "PIP_CERT",
        "NODE_EXTRA_CA_CERTS",
        "npm_config_cafile",
        "GIT_SSL_CAINFO",
        "DENO_CERT",
        "CARGO_HTTP_CAINFO",
        "AWS_CA_BUNDLE",
    ),
    CERTIFICATE,
)
"""For a server with secrets: whoever it speaks TLS with, it is the proxy that answers, so no other authority counts."""


class Forwarder:
    """Fits specs for the network. Makes its volume at the first that needs it; `close` removes it."""

    def __init__(self, engine: Engine, settings: EngineSettings, installation: str) -> None:
        self._engine = engine
        self._settings = settings
        self._installation = installation
        self._making = anyio.Lock()
        self._volume: str | None = None

    async def fit(self, spec: Spec) -> tuple[Spec, tuple[Json, ...]]:
        """The spec with its command started by the forwarder, and what to mount; as it is if it names no hosts.

        Raises:
            SpecRefusedError: the forwarder's image is not built, or there is no command to start.
            SandboxError: the engine could not be asked.
        """
        if not spec.network:
            return spec, ()
        async with self._making:
            if self._volume is None:
                self._volume = await self._make(spec)
        mount = {
            "Type": "volume",
            "Source": self._volume,
            "Target": FOLDER,
            "ReadOnly": True,
            "VolumeOptions": {"NoCopy": True},
        }
        return forwarded(spec, spec.command or command_of(await self._engine.image(spec.image), spec)), (mount,)

    async def check(self) -> Check:
        """Whether a sandbox can be given its way out; never raises."""
        try:
            is_ready = self._volume is not None or await self._image() is not None
        except SandboxError as error:
            return Check("egress", ok=True, detail=f"warning: {error}", cure="See to the engine first.")
        if not is_ready:
            return Check(
                "egress",
                ok=True,
                detail="warning: the forwarder's image is not built, so servers that need the network are refused",
                cure="Run `muxi-runtime images build`.",
            )
        return Check("egress", ok=True, detail="servers can be let out to the hosts that they name")

    async def close(self) -> None:
        """Remove the volume, unless a sandbox that was kept still uses it. Bounded; never raises."""
        volume, self._volume = self._volume, None
        if volume is not None:
            with anyio.move_on_after(CLEAN_UP_SECONDS, shield=True):
                await self._remove(volume)

    async def _image(self) -> str | None:
        async with ImageStore(self._settings) as images:
            return await images.find(IMAGE)

    async def _make(self, spec: Spec) -> str:
        """A volume with the program in it: creating a container is what makes the engine fill an empty volume."""
        reference = await self._image()
        if reference is None:
            raise SpecRefusedError(
                f"Server {spec.server!r} wants the network, and the image of the forwarder is not built. "
                "Run `muxi-runtime images build`.",
            )
        name = f"muxi-{self._installation}-forwarder-{reference.rpartition(':')[2]}"
        # One that a crash left behind may be half full. One that a kept sandbox uses is whole.
        await self._remove(name)
        await self._engine.create_volume(name, {}, {LABEL: self._installation})
        await self._fill(name, reference)
        return name

    async def _fill(self, volume: str, image: str) -> None:
        container = f"{volume}-fill"
        options = {
            "Image": image,
            "Entrypoint": ["forward"],
            "NetworkDisabled": True,
            "Labels": {**labels_of(self._installation, ""), LABEL: self._installation},
            "HostConfig": {
                "NetworkMode": "none",
                "Mounts": [{"Type": "volume", "Source": volume, "Target": FILLED_FROM}],
            },
        }
        try:
            await self._engine.create(container, options)
        finally:
            with anyio.move_on_after(CLEAN_UP_SECONDS, shield=True):
                await self._engine.remove(container)

    async def _remove(self, volume: str) -> None:
        try:
            await self._engine.remove_volume(volume)
        except SandboxError as error:
            log.debug("the forwarder's volume stays: %s", error)


def forwarded(spec: Spec, command: tuple[str, ...]) -> Spec:
    """The spec with the command behind the forwarder, and the variables unless the spec sets them itself. Pure."""
    return spec.model_copy(
        update={
            "command": (FORWARDER, "--", *command),
            "environment": {**PROXY_VARIABLES, **(TRUST_VARIABLES if spec.secrets else {}), **spec.environment},
        }
    )


def command_of(image: Json, spec: Spec) -> tuple[str, ...]:
    """What an image, as the engine inspects it, runs by itself.

    Raises:
        SpecRefusedError: nothing.
    """
    config = image.get("Config") or {}
    command = (*(config.get("Entrypoint") or ()), *(config.get("Cmd") or ()))
    if not command:
        raise SpecRefusedError(
            f"Neither the manifest of server {spec.server!r} nor its image {spec.image!r} says what to run. "
            "Set `command` in the manifest.",
        )
    return command
