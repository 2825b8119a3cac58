"""Images of others: got from their registry, and looked at. All that such an image says of itself is data.

What a tag means is for its registry to say: it is asked each time, and the engine's own copy is only taken where the
registry does not give it. A digest means one thing for ever, so a copy of it is as good as another.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from muxi_sandbox.docker.images.command import Progress
from muxi_sandbox.docker.images.store import ImageStore
from muxi_sandbox.errors import ImageBuildError

__all__ = ["ForeignImage", "fetch_image"]


@dataclass(frozen=True, slots=True)
class ForeignImage:
    """What the engine has now.

    Attributes:
        image: its id, `sha256:...`.
        digest: what its registry calls it, `sha256:...`; empty for one that came from no registry.
        entrypoint: what it starts, `command` being arguments for that; or `command` alone.
        volumes: folders that it wants to be on the host's disk.
        why_local: why the engine's own copy was taken; empty if the registry gave it, or if it is named by digest.
    """

    image: str
    digest: str
    entrypoint: tuple[str, ...]
    command: tuple[str, ...]
    volumes: tuple[str, ...]
    why_local: str = ""


async def fetch_image(store: ImageStore, name: str, digest: str, progress: Progress) -> ForeignImage:
    """Get it. `name` may hold a tag, which a `digest` makes meaningless.

    Raises:
        EngineUnavailableError: no engine answers.
        ImageBuildError: neither the registry nor the engine has it; with what the registry said.
    """
    reference = f"{_repository(name)}@{digest}" if digest else name
    record = await store.image_record(reference) if digest else None
    if record is not None:
        return _image(record, name)
    said: list[str] = []

    def line(text: str) -> None:
        said.append(text)
        progress(text)

    was_pulled = await store.pull(reference, line)
    record = await store.image_record(reference)
    if record is None:
        raise ImageBuildError(f"The engine does not have the image {reference}. {said[-1]}.")
    return _image(record, name, "" if was_pulled else said[-1])


def _image(record: Mapping[str, Any], name: str, why_local: str = "") -> ForeignImage:
    config = record.get("Config") or {}
    digests = [known.rpartition("@") for known in record.get("RepoDigests") or ()]
    return ForeignImage(
        image=str(record["Id"]),
        digest=next((digest for repository, _, digest in digests if repository == _repository(name)), ""),
        entrypoint=tuple(config.get("Entrypoint") or ()),
        command=tuple(config.get("Cmd") or ()),
        volumes=tuple(sorted(config.get("Volumes") or ())),
        why_local=why_local,
    )


def _repository(name: str) -> str:
    """Without its tag; a colon further to the left is a port. The engine leaves its default registry's name out."""
    folder, slash, last = name.rpartition("/")
    plain = f"{folder}{slash}{last.partition(':')[0]}"
    return plain.removeprefix("docker.io/").removeprefix("library/")
