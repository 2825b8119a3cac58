"""The bodies of `servers add`, `update`, `remove`, `enable` and `disable`: they work on the state folder.

The runtime need not run; if it does, it is told, and obeys at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import anyio
from rich.console import Console

from muxi_runtime.catalog.added import AddedServers
from muxi_runtime.catalog.builtin import built_in_manifests
from muxi_runtime.catalog.catalog import RESERVED, load_manifest
from muxi_runtime.catalog.manifest import Manifest
from muxi_runtime.catalog.pin_store import PinState, PinStore
from muxi_runtime.catalog.pins import PinKind, identity_of
from muxi_runtime.catalog.sources import at_version, parse_source
from muxi_runtime.catalog.tool_cache import ToolCache
from muxi_runtime.cli.candidates import ask, candidate_document, require_somebody, shown_candidate
from muxi_runtime.cli.database import opened
from muxi_runtime.cli.output import Output
from muxi_runtime.cli.pin_changes import changes_between, shown_changes
from muxi_runtime.cli.progress import StepDisplay
from muxi_runtime.cli.runtime_client import RuntimeClient, base_url
from muxi_runtime.cli.workbench import open_installer
from muxi_runtime.config import Settings
from muxi_runtime.errors import ConfigError, MuxiError, NotRunningError, UnknownToolError
from muxi_runtime.identity.principal import Principal
from muxi_runtime.installing.installer import Candidate, Wish
from muxi_runtime.journal.contract import Draft
from muxi_runtime.journal.writer import append_once
from muxi_runtime.setup.step import Report, Step, run_steps
from muxi_runtime.store.engine import database_path
from muxi_runtime.vault.key_file import KeyFile
from muxi_runtime.vault.logins import LoginStore

__all__ = ["add", "remove", "switch", "tell_runtime", "update"]

WAITING = " What is different will wait for `pins accept`."


def add(settings: Settings, wish: Wish, *, yes: bool, key: str | None, out: Output) -> None:
    """Install, show, ask, add.

    Raises:
        ConfigError: the name is taken, or the wish cannot be granted.
        ServerError: it cannot be installed, or is no MCP server.
        RefusedError: it is not clean and `--yes` was given, or nobody is there to ask.
    """
    _check_name(settings, wish.name)
    require_somebody(yes=yes, as_json=out.as_json)
    candidate = _with_namesakes(settings, _candidate(settings, wish, as_json=out.as_json))
    if not out.as_json:
        out.show({}, *shown_candidate(candidate))
    if not ask(candidate, yes=yes, question=f"Add the server {wish.name}?"):
        out.show({"added": False, **candidate_document(candidate)}, "Not added.")
        return
    _check_name(settings, wish.name)  # somebody else may have been faster
    _keep(settings, candidate)
    _journal(settings, Draft("server.added", data=_facts(candidate)))
    said = tell_runtime(settings, key)
    out.show({"added": True, **candidate_document(candidate)}, f"Added {wish.name}. {said}")


def update(settings: Settings, name: str, version: str | None, *, yes: bool, key: str | None, out: Output) -> None:
    """Install anew, show what is different, ask, replace. The profile stays as it is; changed tools wait.

    Raises:
        UnknownToolError: no such server was added.
        ConfigError: it has no such version.
        ServerError | RefusedError: as `add`. The server is then as it was.
    """
    now = _added(settings, name)
    if now.install is None:
        raise ConfigError(f"{name} was not installed from a source.", remedy="Change its manifest by hand.")
    source = at_version(parse_source(now.install.source), version or "")
    wish = Wish(name, source, now.install, _kept_fields(now), is_update=True)
    require_somebody(yes=yes, as_json=out.as_json)
    candidate = _candidate(settings, wish, as_json=out.as_json)
    changes = changes_between(_accepted(settings, name), candidate.lists)
    differs = [{"kind": c.of.value, "tool": c.tool, "change": c.kind} for c in changes]
    document = {**candidate_document(candidate), "changes": differs}
    if candidate.manifest == now:
        waiting = [change.tool for change in changes if change.now is not None]
        said = f"{name} is up to date: {now.install.source}.{_hint(name, waiting)}"
        out.show({"updated": False, "waiting": waiting, **document}, said)
        return
    if not out.as_json:
        out.show({}, *shown_candidate(candidate), "", *shown_changes(changes))
    question = f"Replace {now.install.source} by this?{WAITING if changes else ''}"
    if not ask(candidate, yes=yes, question=question):
        out.show({"updated": False, **document}, "Nothing was changed.")
        return
    waiting = _replace(settings, candidate)
    _journal(settings, Draft("server.updated", data=_facts(candidate)))
    said = tell_runtime(settings, key)
    out.show({"updated": True, "waiting": waiting, **document}, f"Updated {name}. {said}{_hint(name, waiting)}")


def remove(settings: Settings, name: str, *, key: str | None, out: Output) -> None:
    """Take an added server away, with its pins. Its image stays until `docker image rm`.

    Raises:
        UnknownToolError: no such server was added.
    """
    _added(settings, name)
    AddedServers(settings.home).remove(name)
    with opened(settings) as engine:
        PinStore(engine).forget(name)
        logins = LoginStore(engine, KeyFile(settings.secrets.key_path(settings.home)))
        gone = [user for user in logins.users(name) if logins.forget(name, user)]
    _journal(settings, Draft("server.removed", data={"server": name, "logins": gone}))
    out.show({"removed": name}, f"Removed {name}. {tell_runtime(settings, key)}")


def switch(settings: Settings, name: str, *, on: bool, key: str | None, out: Output) -> None:
    """Offer a server, or do not; built-in ones too.

    Raises:
        UnknownToolError: there is no such server.
    """
    added = AddedServers(settings.home)
    known = {*built_in_manifests(), *added.manifests(), *settings.servers}
    if name not in known:
        raise UnknownToolError(f"There is no server {name!r}.", remedy=f"There are: {', '.join(sorted(known))}.")
    if on:
        added.enable(name)
        _journal(settings, Draft("server.enabled", data={"server": name}))
    else:
        added.disable(name)
        _journal(settings, Draft("server.disabled", data={"server": name}))
    out.show({"server": name, "enabled": on}, f"{name} is {'on' if on else 'off'}. {tell_runtime(settings, key)}")


def tell_runtime(settings: Settings, key: str | None) -> str:
    """Have the running runtime read anew; a sentence about it."""
    try:
        RuntimeClient(base_url(settings), key).put("servers")
    except NotRunningError:
        return "No runtime answers now; it will know at its next start."
    except MuxiError as error:
        return f"The runtime could not be told: {error}"
    return "The runtime knows."


def _candidate(settings: Settings, wish: Wish, *, as_json: bool) -> Candidate:
    found: list[Candidate] = []

    async def install(report: Report) -> str:
        async with open_installer(settings, report) as installer:
            candidate = await installer.candidate(wish, _others(settings, wish.name), report)
        found.append(candidate)
        return f"{wish.source}: {len(candidate.definitions)} tools"

    with StepDisplay(Console(stderr=as_json)) as display:
        anyio.run(partial(run_steps, (Step("install", f"installing {wish.source}", install),), display))
    return found[0]


def _others(settings: Settings, name: str) -> dict[str, Sequence[str]]:
    """Tools of the other servers, as far as they are known."""
    known = ToolCache(settings.home / "cache" / "tools.json").names()
    with opened(settings) as engine:
        for record in PinStore(engine).all():
            if record.kind is PinKind.TOOL and record.tool not in known.setdefault(record.server, []):
                known[record.server].append(record.tool)
    return {server: tools for server, tools in known.items() if server != name}


def _check_name(settings: Settings, name: str) -> None:
    if name in AddedServers(settings.home).manifests():
        raise ConfigError(
            f"A server {name!r} was added already.",
            remedy=f"`muxi-runtime servers update {name}` takes its newest version. Or give this one another --name.",
        )
    if name in {*RESERVED, *built_in_manifests(), *settings.servers}:
        raise ConfigError(f"There is a server {name!r} already.", remedy="Give this one another --name.")


def _with_namesakes(settings: Settings, candidate: Candidate) -> Candidate:
    """Say which servers come from the same source, whatever their version."""
    added = AddedServers(settings.home).manifests()
    found = [name for name in added if name != candidate.manifest.name and _is_from(added[name], candidate.manifest)]
    note = f"The same source was added already, as {', '.join(found)}."
    return replace(candidate, notes=[*candidate.notes, note]) if found else candidate


def _is_from(path: Path, manifest: Manifest) -> bool:
    try:
        other = load_manifest(path, path.parent.name)
    except ConfigError:
        return False
    if other.install is None or manifest.install is None:
        return False
    return parse_source(other.install.source).at("") == parse_source(manifest.install.source).at("")


def _keep(settings: Settings, candidate: Candidate) -> None:
    manifest = candidate.manifest
    identity = identity_of(manifest, manifest.image)
    # In this order: whoever is killed in between leaves a server whose tools are blocked, never one without pins.
    with opened(settings) as engine:
        PinStore(engine).accept_all(manifest.name, candidate.lists, identity)
    AddedServers(settings.home).put(manifest, candidate.parts)


def _hint(name: str, waiting: Sequence[str]) -> str:
    if not waiting:
        return ""
    return f"\nWhat waits for you: {', '.join(waiting)}. `muxi-runtime pins diff {name}` shows what is different."


def _replace(settings: Settings, candidate: Candidate) -> list[str]:
    """The names of what waits."""
    manifest = candidate.manifest
    AddedServers(settings.home).put(manifest, candidate.parts)
    # In this order: whoever is killed in between leaves the new server with all of its tools blocked.
    with opened(settings) as engine:
        waiting = PinStore(engine).carry_over(manifest.name, candidate.lists, identity_of(manifest, manifest.image))
    return [record.tool for record in waiting]


def _facts(candidate: Candidate) -> dict[str, Any]:
    manifest = candidate.manifest
    return {
        "server": manifest.name,
        "source": manifest.install.source if manifest.install else "",
        "image": manifest.image,
        "tools": len(candidate.definitions),
        "findings": len(candidate.findings),
    }


def _added(settings: Settings, name: str) -> Manifest:
    return load_manifest(AddedServers(settings.home).manifest(name), name)


def _accepted(settings: Settings, name: str) -> dict[tuple[PinKind, str], Mapping[str, Any]]:
    with opened(settings) as engine:
        records = PinStore(engine).all(name)
    return {(record.kind, record.tool): record.definition for record in records if record.state is PinState.ACCEPTED}


def _kept_fields(manifest: Manifest) -> dict[str, Any]:
    """What the operator may have changed in it."""
    fields = manifest.model_dump(mode="json", exclude_defaults=True)
    return {
        name: fields[name]
        for name in ("arguments", "environment", "profile", "init", "pause", "warm")
        if name in fields
    }


def _journal(settings: Settings, draft: Draft) -> None:
    append_once(database_path(settings.home), settings.journal, replace(draft, principal=str(Principal())))
