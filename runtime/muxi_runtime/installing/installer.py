"""From a source to a candidate: its image, its manifest, its tools, and what looks suspicious about them.

Above: `muxi-runtime servers add` and `update`, which ask a person. Below: the workshop, where packages are installed;
the store of images; a sandbox of the new server's own, in which it is asked for its tools. Nothing is kept here: a
candidate that nobody accepts leaves an image that is used by nothing.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import anyio
from anyio import to_thread

from muxi_runtime.catalog.manifest import Install, Manifest
from muxi_runtime.catalog.pins import PinKind
from muxi_runtime.catalog.review import Finding, exposures, hidden_passages, review, review_texts
from muxi_runtime.catalog.sources import Source, SourceKind
from muxi_runtime.errors import ConfigError, ForwardedError, LoginNeededError, ServerError
from muxi_runtime.gateway.credentials import Credentials, NoCredentials
from muxi_runtime.gateway.eras import Eras
from muxi_runtime.gateway.handshake import open_session, open_upstream
from muxi_runtime.gateway.offers import KINDS, PINNED
from muxi_runtime.gateway.remote import Remotes
from muxi_runtime.gateway.specs import SpecBook
from muxi_runtime.gateway.upstream import Upstream
from muxi_runtime.installing.documents import (
    DOCUMENT_IMAGE,
    choice_of,
    fetch_document,
    manifest_fields,
    parts_of,
    read_document,
    tree_of,
)
from muxi_runtime.installing.local_folder import packed_source
from muxi_runtime.installing.openapi.apart import describe_apart
from muxi_runtime.installing.packages import SOURCE_FOLDER, Installed, images_of, install_npm, install_pypi
from muxi_runtime.installing.settings import InstallSettings
from muxi_runtime.installing.workshop import Progress, Workshop, open_workshop
from muxi_sandbox.contract import Backend

__all__ = ["Candidate", "Fetched", "ImageShelf", "Installer", "Registry", "Wish"]

HANDSHAKE_SECONDS = 60
ASK_REGISTRY = {
    SourceKind.NPM: "npm config get registry",
    SourceKind.PYPI: "python3 -c 'from pip._internal.models.index import PyPI as own;"
    " print(own.simple_url); print(own.file_storage_domain)'",
}
"""What the tools themselves have for a default: its URL, then hosts that it sends them to."""
SAME_TIMES = "find tree -exec touch -hd @315532800 {} +"
"""What is installed twice is the same twice, and so is its image. No zip archive knows a time before 1980."""
AFTER_LOGIN = (
    "It shows its tools to nobody who has not logged in. Once it is added, `muxi-runtime servers login {name}`;"
    " they wait for `muxi-runtime pins accept {name}` then."
)
INSTALLER = "installer"
BASES = {SourceKind.NPM: "node", SourceKind.PYPI: "base"}


class ImageShelf(Protocol):
    """What the installer needs of the engine's images; `cli.workbench.DockerShelf` in production."""

    async def ensure(self, name: str, progress: Progress) -> str:
        """The reference of an image of this project, built first if it is missing."""

    async def add(self, name: str, base: str, tree: Path, packages: tuple[str, ...], progress: Progress) -> str:
        """An image of the base with a tree in it; its id, `sha256:...`."""

    async def fetch(self, source: Source, progress: Progress) -> Fetched:
        """An image of others: from its registry, else the engine's own copy.

        Raises:
            ServerError: it is not to be had, or wants what no sandbox gets.
        """


@dataclass(frozen=True, slots=True)
class Fetched:
    """An image of others.

    Attributes:
        image: its id, `sha256:...`.
        digest: what its registry calls it; empty where it came from none.
        entrypoint: what it starts, `command` being arguments for that; or `command` alone.
        note: what a person should know about where it came from.
    """

    image: str
    digest: str
    entrypoint: tuple[str, ...]
    command: tuple[str, ...]
    note: str = ""

    def started_with(self, arguments: Sequence[str]) -> tuple[str, ...]:
        """The program before the `arguments`, which stand in for the image's own where it has a program besides."""
        return self.entrypoint if self.entrypoint and arguments else (*self.entrypoint, *self.command)


@dataclass(frozen=True, slots=True)
class Wish:
    """What a person asked for."""

    name: str
    source: Source
    install: Install
    manifest: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the manifest that the person set: arguments, environment, profile, title, description, command."""
    is_update: bool = False
    """Whether they are those of a server that is there, whose profile stays as it is."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A server that could be added.

    Attributes:
        lists: its tools, prompts and templates, as it listed them.
        findings: what looks suspicious; empty for a clean one.
        parts: what was installed: name, version, hash.
        notes: what a person should know besides.
    """

    manifest: Manifest
    lists: Mapping[PinKind, Sequence[Mapping[str, Any]]]
    findings: Sequence[Finding]
    parts: Sequence[Mapping[str, str]]
    notes: Sequence[str] = ()

    @property
    def definitions(self) -> Sequence[Mapping[str, Any]]:
        """Of its tools."""
        return self.lists[PinKind.TOOL]


@dataclass(frozen=True, slots=True)
class _Made:
    """A candidate that was not asked for its tools yet."""

    manifest: Manifest
    parts: Sequence[Mapping[str, str]] = ()
    notes: Sequence[str] = ()
    findings: Sequence[Finding] = ()


@dataclass(frozen=True, slots=True)
class Registry:
    """Where packages of one kind come from, and the hosts that the workshop may reach for them."""

    url: str
    hosts: tuple[str, ...]


class Installer:
    """Makes candidates. One at a time: the workshop's sandbox has one name."""

    def __init__(
        self,
        backend: Backend,
        shelf: ImageShelf,
        settings: InstallSettings,
        *,
        scratch: Path,
        certificates: bytes,
        grant: Callable[[Manifest], Manifest],
        credentials: Callable[[Manifest], Credentials] = lambda _: NoCredentials(),
    ) -> None:
        """`scratch`: a folder for what is on its way into an image; whoever gave it empties it.

        `certificates`: in PEM form, what registries are checked against. `grant`: see `catalog.granted`.
        `credentials`: what a server elsewhere is shown.
        """
        self._scratch = scratch
        self._grant = grant
        self._credentials = credentials
        self._backend = backend
        self._shelf = shelf
        self._settings = settings
        self._certificates = certificates

    async def candidate(self, wish: Wish, others: Mapping[str, Sequence[str]], progress: Progress) -> Candidate:
        """Install, make the image, ask for the tools. `others`: the tools of the servers that are there, by server.

        Raises:
            ConfigError: the wish cannot be granted.
            ServerError: the package does not exist, does not build, or is no MCP server.
            SandboxError: no sandbox, or no image, is to be had.
        """
        made = await self._make(wish, progress)
        progress("asking for its tools")
        notes = list(made.notes)
        try:
            lists = await self.lists(made.manifest)
        except LoginNeededError:
            lists = {kind: [] for kind in PinKind}
            notes.append(AFTER_LOGIN.format(name=made.manifest.name))
        findings = [*exposures(made.manifest), *made.findings, *review(lists[PinKind.TOOL], others)]
        for kind in (PinKind.PROMPT, PinKind.TEMPLATE):
            findings += review_texts(lists[kind], kind)
        return Candidate(made.manifest, lists, findings, made.parts, notes)

    async def _make(self, wish: Wish, progress: Progress) -> _Made:
        if wish.source.kind is SourceKind.URL:
            return _Made(_manifest(wish, wish.source, {"url": wish.source.name}))
        if wish.source.kind is SourceKind.OPENAPI:
            return await self._described(wish, progress)
        if wish.source.kind is SourceKind.OCI:
            progress("looking for the image")
            found = await self._shelf.fetch(wish.source, progress)
            command = found.started_with(wish.manifest.get("arguments", ()))
            exact = wish.source.at(found.digest or wish.source.version)
            fields = {"image": found.image, "command": command}
            return _Made(_manifest(wish, exact, fields), notes=(found.note,) if found.note else ())
        return await self._packaged(wish, progress)

    async def _packaged(self, wish: Wish, progress: Progress) -> _Made:
        kind = await to_thread.run_sync(_kind_of, wish.source)
        suite = images_of(kind, wish.install)
        tools = await self._shelf.ensure(f"{INSTALLER}{suite}", progress)
        registry = await self._registry(tools, kind)
        with tempfile.TemporaryDirectory(prefix="tree-", dir=self._scratch) as folder:
            tree = Path(folder) / "tree.tar"
            async with open_workshop(
                self._backend,
                tools,
                self._settings,
                hosts=registry.hosts,
                certificates=self._certificates,
                progress=progress,
            ) as workshop:
                if wish.source.kind is SourceKind.PATH:
                    await _bring(workshop, Path(wish.source.name))
                progress(f"installing {wish.source}")
                installed = await self._install(workshop, kind, wish, registry.url)
                progress("taking out what was installed")
                await workshop.run(SAME_TIMES, quietly=True)
                with await to_thread.run_sync(tree.open, "wb") as into:
                    await workshop.take("tree", into)
            base = await self._shelf.ensure(f"{BASES[kind]}{suite}", progress)
            image = await self._shelf.add(wish.name, base, tree, wish.install.debian, progress)
        fields = {
            "image": image,
            "command": installed.command,
            "environment": installed.environment,
            "title": installed.title,
            "description": installed.description,
        }
        return _Made(_manifest(wish, installed.source, fields), installed.parts)

    async def _described(self, wish: Wish, progress: Progress) -> _Made:
        """Of a document of OpenAPI, fetched in a workshop that reaches its host, and read as data apart."""
        if wish.source.is_url:
            progress(f"fetching {wish.source.name}")
            tools = await self._shelf.ensure(INSTALLER, progress)
            async with open_workshop(
                self._backend,
                tools,
                self._settings,
                hosts=(_host(wish.source.name),),
                certificates=self._certificates,
                progress=progress,
            ) as workshop:
                data = await fetch_document(workshop, wish.source.name)
        else:
            data = await to_thread.run_sync(read_document, Path(wish.source.name))
        progress("reading the document")
        found = await describe_apart(data, choice_of(wish.name, wish.source, wish.install))
        with tempfile.TemporaryDirectory(prefix="tree-", dir=self._scratch) as folder:
            tree = Path(folder) / "tree.tar"
            await to_thread.run_sync(tree.write_bytes, tree_of(found))
            base = await self._shelf.ensure(DOCUMENT_IMAGE, progress)
            image = await self._shelf.add(wish.name, base, tree, (), progress)
        fields, notes = manifest_fields(found, wish.manifest.get("profile", {}), is_update=wish.is_update)
        kept = replace(wish, manifest={name: value for name, value in wish.manifest.items() if name != "profile"})
        manifest = _manifest(kept, wish.source, {**fields, "image": image})
        return _Made(manifest, parts_of(found, data), (*found.notes, *notes), hidden_passages(found.hidden))

    async def _install(self, workshop: Workshop, kind: SourceKind, wish: Wish, registry: str) -> Installed:
        if kind is SourceKind.NPM:
            return await install_npm(workshop, wish.source, wish.install, registry)
        return await install_pypi(workshop, wish.source, wish.install, registry)

    async def _registry(self, image: str, kind: SourceKind) -> Registry:
        """As configured; else as the tool itself has it."""
        is_npm = kind is SourceKind.NPM
        url, files = self._settings.npm_registry if is_npm else self._settings.pypi_index, list[str]()
        if url is None:
            async with open_workshop(
                self._backend, image, self._settings, hosts=(), certificates=b"", progress=lambda _: None
            ) as workshop:
                url, *files = (await workshop.run(ASK_REGISTRY[kind], quietly=True)).split()
        return Registry(url, (_host(url), *files, *self._settings.hosts))

    async def lists(self, manifest: Manifest) -> dict[PinKind, list[dict[str, Any]]]:
        """What a server lists, asked in a sandbox with the profile that it would get, but for the network.

        Raises:
            ServerError: it is no MCP server, or does not answer.
            SandboxError: no sandbox is to be had, or it ended.
        """
        task = f"try-{manifest.name}"
        spec = SpecBook({manifest.name: self._grant(manifest)}, _no_image_of_ours).spec(task, manifest.name)
        if isinstance(spec, Exception):
            raise spec
        if manifest.is_remote:
            session = partial(open_session, eras=Eras(), handshake_seconds=HANDSHAKE_SECONDS)
            remotes = Remotes(_no_schema, session, self._credentials(manifest))
            async with remotes.lease_session(spec.model_copy(update={"task": None})) as leased:
                return await _lists(leased.session)
        try:
            async with open_upstream(self._backend, spec, eras=Eras(), handshake_seconds=HANDSHAKE_SECONDS) as upstream:
                return await _lists(upstream)
        finally:
            with anyio.move_on_after(HANDSHAKE_SECONDS, shield=True):
                await self._backend.end_task(task)


async def _lists(upstream: Upstream) -> dict[PinKind, list[dict[str, Any]]]:
    found = {PinKind.TOOL: await upstream.list_tools(seconds=HANDSHAKE_SECONDS)}
    for name, kind in PINNED.items():
        method, key, capability = KINDS[name]
        found[kind] = []
        if upstream.offers(capability):
            # One that has a list but does not give it has none; what it gives later waits for a person.
            with suppress(ForwardedError, ServerError):
                found[kind] = await upstream.list_all(method, key, seconds=HANDSHAKE_SECONDS)
    return found


def _no_schema(_server: str, _tool: str) -> None:
    """No tool is called before the server is accepted."""


def _no_image_of_ours(name: str) -> str:
    raise ServerError(f"An added server has an image of its own, not {name!r}.")


def _manifest(wish: Wish, exact: Source, found: Mapping[str, Any]) -> Manifest:
    """What was found, with what the person set over it."""
    environment = {**found.get("environment", {}), **wish.manifest.get("environment", {})}
    fields = {
        **found,
        **wish.manifest,
        "name": wish.name,
        "environment": environment,
        "install": wish.install.model_copy(update={"source": str(exact)}),
    }
    return Manifest.model_validate(fields)


def _kind_of(source: Source) -> SourceKind:
    """Which tool installs it.

    Raises:
        ConfigError: a folder that is neither kind of package.
    """
    if source.kind is not SourceKind.PATH:
        return source.kind
    folder = Path(source.name)
    if (folder / "package.json").is_file():
        return SourceKind.NPM
    if (folder / "pyproject.toml").is_file() or (folder / "setup.py").is_file():
        return SourceKind.PYPI
    raise ConfigError(
        f"{folder} holds no package: there is neither a package.json nor a pyproject.toml in it.",
        remedy="Name the folder that has one.",
    )


async def _bring(workshop: Workshop, folder: Path) -> None:
    with tempfile.TemporaryFile(prefix="muxi-source-") as tar:
        await to_thread.run_sync(packed_source, folder, tar)
        tar.seek(0)
        await workshop.put(tar, SOURCE_FOLDER)


def _host(url: str) -> str:
    parts = urlsplit(url)
    if not parts.hostname:
        raise ServerError(f"{url!r} is no address of a registry.", remedy="Set install.npm_registry and pypi_index.")
    port = parts.port or {"http": 80}.get(parts.scheme, 443)
    return f"{parts.hostname}:{port}"
