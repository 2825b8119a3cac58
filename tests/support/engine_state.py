"""What the engine says of containers that may go at any moment: those of a pool are replaced as they like."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from docker import APIClient
from docker.errors import APIError, NotFound

GONE = 409  # "removal of container is already in progress"


def installation(name: str) -> str:
    """An installation of this process alone: runs of tests side by side do not reap each other's sandboxes."""
    return f"{name[:12]}-{os.getpid()}"  # short: it is part of sockets' paths


def inspected(client: APIClient, labels: Sequence[str]) -> list[dict[str, Any]]:
    """What the engine tells of each container with these labels ("name=value"), without those that go meanwhile."""
    found = []
    for container in client.containers(all=True, filters={"label": list(labels)}):
        try:
            found.append(client.inspect_container(container["Id"]))
        except NotFound:
            continue
    return found


def remove_all(client: APIClient, labels: Sequence[str]) -> None:
    """Remove every container with these labels, or see that another does."""
    for container in client.containers(all=True, filters={"label": list(labels)}):
        try:
            client.remove_container(container["Id"], force=True)
        except NotFound:
            continue
        except APIError as error:
            if error.status_code != GONE:
                raise
