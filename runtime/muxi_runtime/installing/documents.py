"""A document of OpenAPI on its way into an image: fetched or read, and what is made of it as a manifest.

The image is that of the server `openapi` with one file in it, so that it is named by its content like any other.
"""

from __future__ import annotations

import hashlib
import shlex
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from anyio import to_thread

from muxi_runtime.catalog.manifest import Install
from muxi_runtime.catalog.sources import Source
from muxi_runtime.errors import ConfigError, ServerError
from muxi_runtime.installing.openapi.describe import Choice, Description
from muxi_runtime.installing.openapi.text import MAX_BYTES
from muxi_runtime.installing.packages import ROOT
from muxi_runtime.installing.workshop import Workshop
from muxi_sandbox.egress.names import parse_authority, parse_rule, permits
from muxi_sandbox.workspaces.tar import BLOCK, end, header

__all__ = [
    "DOCUMENT_IMAGE",
    "choice_of",
    "fetch_document",
    "manifest_fields",
    "parts_of",
    "read_document",
    "tree_of",
]

DOCUMENT_IMAGE = "openapi"
FILE = "api.json"
COMMAND = ("python3", "-I", "-m", "muxi_servers.openapi", "--document", f"{ROOT}/{FILE}")
LIMITS = {"cpus": 0.5, "memory_mib": 256, "pids": 32, "tmp_mib": 8, "shm_mib": 1}
"""For eight calls at once with the largest answers; 1000 tools take 35 MiB."""
FETCHED = "document"
_FETCH = f"""
import sys, urllib.error, urllib.request
request = urllib.request.Request(sys.argv[1], headers={{'Accept': 'application/json, application/yaml, */*;q=0.5'}})
try:
    with urllib.request.urlopen(request, timeout=60) as answer, open('tree/{FETCHED}', 'wb') as into:
        left = {MAX_BYTES} + 1
        while left > 0 and (piece := answer.read(min(left, 65536))):
            left -= into.write(piece)
except (OSError, ValueError) as error:
    sys.exit(f'The document could not be fetched: {{error}}')
"""


async def fetch_document(workshop: Workshop, url: str) -> bytes:
    """What is at a URL; at most one byte more than is read.

    Raises:
        ServerError: it is not to be had.
        SandboxError: the sandbox ended.
    """
    # Also what is on this machine's loopback goes by the proxy, which decides.
    script = f"mkdir -p tree; NO_PROXY= no_proxy= python3 -I -c {shlex.quote(_FETCH)} {shlex.quote(url)}"
    await workshop.run(script, quietly=True)
    with tempfile.TemporaryFile(prefix="muxi-document-") as tar:
        await workshop.take("tree", tar)
        return await to_thread.run_sync(_only_file, tar)


def read_document(path: Path) -> bytes:
    """A file's bytes; at most one more than is read. Blocks.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be read: {error.strerror}.", remedy="Name a file with the document."
        ) from error


def choice_of(name: str, source: Source, install: Install) -> Choice:
    """What a person asked for."""
    return Choice(name, source.name if source.is_url else "", install.server, install.operations)


def tree_of(found: Description) -> bytes:
    """The tar for the image: one file."""
    padding = bytes(-len(found.content) % BLOCK)
    return header(FILE, is_folder=False, size=len(found.content)) + found.content + padding + end()


def parts_of(found: Description, data: bytes) -> Sequence[Mapping[str, str]]:
    """What was installed: the document, by its hash."""
    digest = hashlib.sha256(data).hexdigest()
    return [{"name": found.title or "document", "version": found.version, "hash": f"sha256:{digest}"}]


def manifest_fields(
    found: Description, given: Mapping[str, Any], *, is_update: bool
) -> tuple[dict[str, Any], list[str]]:
    """Fields of the manifest, and what a person should know of them. `given`: of the profile, what the person said.

    An update asks for nothing: whatever the document has become, the profile is the one that a person has seen.
    """
    asked: dict[str, Any] = {"network": {"allow": found.hosts}, "secrets": found.secrets}
    if "limits_class" not in given:
        asked["limits"] = LIMITS
    profile = dict(given) if is_update else {**asked, **given}
    notes: list[str] = []
    if is_update:
        rules = tuple(map(parse_rule, given.get("network", {}).get("allow", ())))
        outside = [host for host in found.hosts if not permits(rules, *_place(host))]
        unknown = [name for name in found.secrets if name not in given.get("secrets", {})]
        notes += [
            f"The document has requests to {host}, which the server's profile does not allow." for host in outside
        ]
        notes += [
            f"The document wants the secret {name}, which the server's profile does not have." for name in unknown
        ]
    fields = {
        "title": found.title,
        "description": found.description,
        "command": COMMAND,
        "init": False,
        "labels": {"all": ["untrusted"]},
        "profile": profile,
    }
    return fields, notes


def _place(authority: str) -> tuple[str, int]:
    host, port = parse_authority(authority)
    return host, port or 0


def _only_file(tar: IO[bytes]) -> bytes:
    tar.seek(0)
    try:
        with tarfile.open(fileobj=tar, mode="r:") as archive:
            member = archive.getmember(FETCHED)
            file = archive.extractfile(member) if member.size <= MAX_BYTES + 1 else None
            if file is not None:
                return file.read()
    except (KeyError, tarfile.TarError) as error:
        raise ServerError("The document did not come out of the sandbox that fetched it.") from error
    raise ServerError("The document did not come out of the sandbox that fetched it.")
