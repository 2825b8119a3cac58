"""The container engine, asynchronously. The one place where the Docker SDK's errors become ours.

Above it: the backend, which thinks in leases. Below it: the SDK's low-level client, whose calls block and so run in
worker threads, at most `parallel_calls` at once. A call that makes something is waited for even if its caller is
cancelled, since what it made must be known to be removed; it ends after `call_seconds` at the latest.
"""

from __future__ import annotations

import socket
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
import requests
from anyio import to_thread
from docker import APIClient
from docker.errors import APIError, DockerException, ImageNotFound, NotFound

from muxi_sandbox.errors import (
    EngineUnavailableError,
    ImageMissingError,
    SandboxError,
    SpecRefusedError,
    StartFailedError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from muxi_sandbox.docker.settings import EngineSettings

__all__ = ["ContainerState", "Engine", "Json"]

Json = dict[str, Any]
T = TypeVar("T")

SERVER_ERROR = 500
DOCTOR = "See `muxi-runtime doctor`."


@dataclass(frozen=True, slots=True)
class ContainerState:
    """What the engine knows of a container that ended."""

    exit_code: int | None
    out_of_memory: bool
    is_running: bool


class Engine:
    """Calls of one engine. Connects at the first call, keeps connections alive, and survives the engine's restarts."""

    def __init__(self, settings: EngineSettings) -> None:
        self._settings = settings
        self._limiter = anyio.CapacityLimiter(settings.parallel_calls)
        self._connecting = threading.Lock()
        self._client: APIClient | None = None

    async def create(self, name: str, options: Json) -> tuple[str, list[str]]:
        """Create a container; its id and the engine's warnings.

        Raises:
            ImageMissingError: the image is not here.
            SpecRefusedError: the engine takes an option not.
            EngineUnavailableError: no answer.
        """
        image = options["Image"]

        def do(client: APIClient) -> tuple[str, list[str]]:
            try:
                made = client.create_container_from_config(options, name)  # type: ignore[no-untyped-call]  # stubs lag
            except ImageNotFound:
                raise _missing(image) from None
            except APIError as error:
                if _is_client_error(error):
                    raise SpecRefusedError(f"The engine refuses the sandbox: {error.explanation}. {DOCTOR}") from error
                raise
            return made["Id"], list(made.get("Warnings") or ())

        return await self.call(f"create a container of {image!r}", do, makes=True)

    async def start(self, container: str) -> None:
        """Start a container.

        Raises:
            StartFailedError: the engine tried and failed.
            EngineUnavailableError: no answer.
        """

        def do(client: APIClient) -> None:
            try:
                client.start(container)
            except APIError as error:
                raise StartFailedError(
                    f"Container {container[:12]} could not be started: {error.explanation}. Check the image and the "
                    "command in the server's manifest.",
                    sandbox=container,
                ) from error

        await self.call(f"start container {container[:12]}", do, makes=True)

    async def inspect(self, container: str) -> Json:
        """All that the engine knows of a container."""
        found: Json = await self.call(
            f"inspect container {container[:12]}", lambda client: client.inspect_container(container)
        )
        return found

    async def image(self, reference: str) -> Json:
        """All that the engine knows of an image.

        Raises:
            ImageMissingError: it is not here.
            EngineUnavailableError: no answer.
        """

        def do(client: APIClient) -> Json:
            try:
                found: Json = client.inspect_image(reference)  # type: ignore[no-untyped-call]  # stubs lag
            except ImageNotFound:
                raise _missing(reference) from None
            return found

        return await self.call(f"inspect image {reference!r}", do)

    async def state(self, container: str) -> ContainerState:
        """How a container ended; waits up to two seconds for one that is just about to."""

        def do(client: APIClient) -> ContainerState:
            try:
                client.wait(container, timeout=2)
            except NotFound:
                return ContainerState(None, out_of_memory=False, is_running=False)
            except requests.exceptions.RequestException:
                pass  # it runs on, or the engine is slow: what inspect says counts
            try:
                state = client.inspect_container(container)["State"]
            except NotFound:
                return ContainerState(None, out_of_memory=False, is_running=False)
            return ContainerState(state["ExitCode"], bool(state["OOMKilled"]), bool(state["Running"]))

        return await self.call(f"learn how container {container[:12]} ended", do)

    async def kill(self, container: str) -> None:
        """Kill a container's every process; none left is no error."""

        def do(client: APIClient) -> None:
            try:
                client.kill(container)
            except APIError as error:
                if not _is_client_error(error):
                    raise

        await self.call(f"kill container {container[:12]}", do)

    async def pause(self, container: str) -> None:
        """Freeze a container's processes; one that is paused or does not run is left as it is."""
        await self._switch(f"pause container {container[:12]}", lambda client: client.pause(container))

    async def resume(self, container: str) -> None:
        """Let a paused container's processes go on; one that is not paused is left as it is."""
        await self._switch(f"resume container {container[:12]}", lambda client: client.unpause(container))

    async def _switch(self, what: str, do: Callable[[APIClient], None]) -> None:
        def tolerant(client: APIClient) -> None:
            try:
                do(client)
            except APIError as error:
                # What the engine answers where there is nothing to switch: 404 gone, 409 not running, 500 "already".
                if not _is_client_error(error) and "paused" not in str(error.explanation):
                    raise

        await self.call(what, tolerant, makes=True)

    async def remove(self, container: str) -> bool:
        """Kill and remove a container with its anonymous volumes; whether there was one."""

        def do(client: APIClient) -> bool:
            try:
                client.remove_container(container, v=True, force=True)
            except NotFound:
                return False
            except APIError as error:
                # 409: another removal of the same container is on its way.
                if not _is_client_error(error):
                    raise
            return True

        return await self.call(f"remove container {container[:12]}", do)

    async def create_volume(self, name: str, options: Mapping[str, str], labels: Mapping[str, str]) -> None:
        """Create a volume of the engine's own `local` driver."""
        await self.call(
            f"create volume {name}",
            lambda client: client.create_volume(name, "local", dict(options), dict(labels)),
            makes=True,
        )

    async def remove_volume(self, name: str) -> bool:
        """Remove a volume; whether there was one."""

        def do(client: APIClient) -> bool:
            try:
                client.remove_volume(name)
            except NotFound:
                return False
            return True

        return await self.call(f"remove volume {name}", do)

    async def containers(self, label: str) -> list[Json]:
        """Every container with the label, running or not."""
        found: list[Json] = await self.call(
            "list containers", lambda client: client.containers(all=True, filters={"label": label})
        )
        return found

    async def volumes(self, label: str) -> list[Json]:
        """Every volume with the label."""
        found: Json = await self.call("list volumes", lambda client: client.volumes(filters={"label": label}))
        return found["Volumes"] or []

    async def version(self) -> Json:
        """The engine's answer to `docker version`."""
        found: Json = await self.call("read the version", lambda client: client.version(api_version=False))
        return found

    async def info(self) -> Json:
        """The engine's answer to `docker info`."""
        found: Json = await self.call("read the engine's facts", lambda client: client.info())
        return found

    async def answers(self, within_seconds: float) -> bool:
        """Whether an engine answers on a new connection, asked again until the time is over."""
        with anyio.move_on_after(within_seconds):
            while True:
                try:
                    return bool(await to_thread.run_sync(self._ping, abandon_on_cancel=True))
                except (DockerException, requests.exceptions.RequestException):
                    await anyio.sleep(0.05)
        return False

    def _ping(self) -> bool:
        self._require_listener()
        fresh = self._connect()
        try:
            return bool(fresh.ping())
        finally:
            fresh.close()

    async def call(self, what: str, do: Callable[[APIClient], T], *, makes: bool = False) -> T:
        """Run `do` in a worker thread; `what` completes "The engine could not ...".

        A cancelled caller goes on at once, unless the call `makes` something.

        Raises:
            SandboxError: the engine did not do it.
        """
        return await to_thread.run_sync(self._call, what, do, limiter=self._limiter, abandon_on_cancel=not makes)

    def _call(self, what: str, do: Callable[[APIClient], T]) -> T:
        try:
            return do(self._connected())
        except APIError as error:
            raise SandboxError(f"The engine could not {what}: {error.explanation}. {DOCTOR}") from error
        except requests.exceptions.Timeout as error:
            raise EngineUnavailableError(
                f"The engine at {self._settings.socket} could not {what} within {self._settings.call_seconds:g} s. "
                f"{DOCTOR}"
            ) from error
        except (DockerException, requests.exceptions.RequestException) as error:
            raise EngineUnavailableError(
                f"No container engine answers at {self._settings.socket}, so it could not {what}. "
                f"Start it, or set `engine.socket`. {DOCTOR}"
            ) from error
        except OSError as error:
            raise _starved(what, error) from error

    def _connected(self) -> APIClient:
        self._require_listener()
        with self._connecting:
            if self._client is None:
                self._client = self._connect()
            return self._client

    def _require_listener(self) -> None:
        """The SDK leaks a socket for each connection that is refused, so that is found out without it first."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.settimeout(self._settings.call_seconds)
            try:
                probe.connect(str(self._settings.socket))
            except OSError as error:
                raise DockerException(str(error)) from error

    def _connect(self) -> APIClient:
        timeout: Any = self._settings.call_seconds  # the stubs say int, but fractions are fine
        return APIClient(base_url=f"unix://{self._settings.socket}", version="auto", timeout=timeout)

    async def close(self) -> None:
        """Close the connections that are kept."""
        client, self._client = self._client, None
        if client is not None:
            client.close()


def _starved(what: str, error: OSError) -> EngineUnavailableError:
    """This machine, not the engine, has something no more: descriptors, most likely."""
    return EngineUnavailableError(
        f"This machine could not {what}: {error.strerror or error}. If it has no descriptors left, raise the limit of "
        "open files of the runtime (`ulimit -n`, LimitNOFILE)."
    )


def _missing(image: str) -> ImageMissingError:
    return ImageMissingError(
        f"The engine has no image {image!r}. Build it with `muxi-runtime images build`, or pull it."
    )


def _is_client_error(error: APIError) -> bool:
    return error.status_code is not None and error.status_code < SERVER_ERROR
