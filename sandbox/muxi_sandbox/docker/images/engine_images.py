"""The engine's image calls, each bounded in time, with its errors as ours. They block: use a thread."""

from __future__ import annotations

import io
import json
import socket
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import requests
from docker import APIClient, errors

from muxi_sandbox.docker.images.recipe import BuildFile
from muxi_sandbox.docker.settings import EngineSettings
from muxi_sandbox.errors import EngineUnavailableError, ImageBuildError

__all__ = ["EngineImages", "context_of"]

SILENCE_SECONDS = 600
"""The longest that the engine may say nothing while it builds or pulls."""

CONNECT_SECONDS = 10
KEPT_LINES = 12
NOISE = ("---> ", "Removing intermediate container")
"""What the engine says of its own bookkeeping between the steps of a build."""

Line = Callable[[str], None]


class EngineImages:
    """One connection to the engine."""

    def __init__(self, settings: EngineSettings) -> None:
        self._socket = settings.socket
        with self._translated("be reached"):
            _connect_once(settings.socket)
            self._client = APIClient(base_url=f"unix://{settings.socket}", version="auto", timeout=SILENCE_SECONDS)

    def __enter__(self) -> Self:
        """Connected already."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Close the connection."""
        self._client.close()

    def tagged(self) -> dict[str, dict[str, Any]]:
        """Every tag that the engine has, with the engine's record of its image."""
        with self._translated("list its images"):
            images = self._client.images()
        return {tag: image for image in images for tag in image.get("RepoTags") or ()}

    def pull(self, reference: str, line: Line) -> bool:
        """Get it from its registry; whether that worked. A registry that is out of reach is no error."""
        try:
            # Not in two parts: a reference may hold a tag, a digest, both, and a registry's port.
            _follow(self._client.pull(reference, stream=True, decode=True), line)
        except (errors.APIError, ImageBuildError, requests.Timeout) as error:
            line(f"{reference} cannot be pulled: {_first_line(error)}")
            return False
        except (errors.DockerException, requests.RequestException) as error:
            raise self._unavailable("pull", error) from error
        return True

    def import_archive(self, archive: Path, reference: str, labels: Mapping[str, str]) -> None:
        """Make an image of one layer from a root file system.

        Raises:
            ImageBuildError: the engine does not take it.
        """
        repository, _, tag = reference.rpartition(":")
        changes = [f'LABEL {name}="{value}"' for name, value in labels.items()] + ['CMD ["/bin/bash"]']
        with self._translated(f"import {reference}"), archive.open("rb") as stream:
            output = self._client.import_image(src=stream, repository=repository, tag=tag, changes=changes)
        # The engine reports a failure in the body of an answer that has status 200.
        _follow((json.loads(record) for record in str(output).splitlines()), lambda _: None)

    def record_of(self, reference: str) -> dict[str, Any] | None:
        """The engine's record of what it has under a reference; `None` for nothing."""
        with self._translated(f"look for {reference}"):
            try:
                return dict(self._client.inspect_image(reference))  # type: ignore[no-untyped-call]
            except errors.ImageNotFound:
                return None

    def build(
        self,
        context: IO[bytes],
        *,
        tag: str,
        arguments: Mapping[str, str],
        labels: Mapping[str, str],
        host_network: bool,
        line: Line,
    ) -> None:
        """Build and tag, from an uncompressed tar archive.

        Raises:
            ImageBuildError: a step failed; with the last lines.
        """
        with self._translated(f"build {tag}"):
            output = self._client.build(
                fileobj=context,
                custom_context=True,
                tag=tag,
                buildargs=dict(arguments),
                labels=dict(labels),
                network_mode="host" if host_network else None,
                rm=True,
                forcerm=True,
                decode=True,
            )
            _follow(output, line)

    def remove(self, tag: str) -> bool:
        """Remove the tag, and the image with its last tag; `False` if a container uses it."""
        try:
            with self._translated(f"remove {tag}"):
                self._client.remove_image(tag)
        except ImageBuildError:
            return False
        return True

    @contextmanager
    def _translated(self, what: str) -> Iterator[None]:
        try:
            yield
        except errors.APIError as error:
            raise ImageBuildError(f"The engine cannot {what}: {_first_line(error)}") from error
        except (errors.DockerException, requests.RequestException) as error:
            raise self._unavailable(what, error) from error

    def _unavailable(self, what: str, error: Exception) -> EngineUnavailableError:
        return EngineUnavailableError(
            f"The container engine at {self._socket} cannot {what}: {_first_line(error)}."
            " See that it runs and that you may use its socket: `muxi-runtime doctor` tells."
        )


def _connect_once(path: Path) -> None:
    """Raise for an engine that is not there; the library's client would leave a socket open."""
    try:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(CONNECT_SECONDS)
            probe.connect(str(path))
    except OSError as error:
        raise errors.DockerException(error.strerror or str(error)) from error


def _follow(output: Iterable[dict[str, Any]], line: Line) -> None:
    """Pass the engine's progress on, and raise its error; not before the end, which is what frees the connection."""
    last: list[str] = []
    failed: ImageBuildError | None = None
    for record in output:
        if "error" in record:
            failed = failed or ImageBuildError("\n  ".join([str(record["error"]).strip(), *last]))
        text = str(record.get("stream") or (record.get("status") if "progress" not in record else "") or "")
        for part in (part.strip() for part in text.splitlines()):
            if not part or part.startswith(NOISE):
                continue
            line(part)
            last = [*last[1 - KEPT_LINES :], part]
    if failed is not None:
        raise failed


def context_of(files: Mapping[str, BuildFile]) -> IO[bytes]:
    """An uncompressed tar archive that is the same for the same files, whoever owns them here."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for path, file in sorted(files.items()):
            entry = tarfile.TarInfo(path)
            entry.size = len(file.content)
            entry.mode = 0o755 if file.executable else 0o644
            tar.addfile(entry, io.BytesIO(file.content))
    archive.seek(0)
    return archive


def _first_line(error: Exception) -> str:
    text = error.explanation if isinstance(error, errors.APIError) and error.explanation else error
    return str(text).strip().splitlines()[0].rstrip(".") if str(text).strip() else type(error).__name__
