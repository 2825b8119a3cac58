"""The body of `servers doctor`: one added server, looked at in a sandbox of its own."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import anyio
from rich.console import Console

from muxi_runtime.catalog.added import AddedServers
from muxi_runtime.catalog.catalog import load_manifest
from muxi_runtime.catalog.manifest import Manifest
from muxi_runtime.catalog.pin_store import PinState, PinStore
from muxi_runtime.catalog.pins import PinKind, identity_of, name_of, pin_of
from muxi_runtime.cli.database import opened
from muxi_runtime.cli.output import Output, mark, table
from muxi_runtime.cli.progress import StepDisplay
from muxi_runtime.cli.workbench import open_installer
from muxi_runtime.config import Settings
from muxi_runtime.errors import LoginNeededError, MuxiError
from muxi_runtime.gateway.logins.kept import login_of_lister
from muxi_runtime.setup.step import Report, Step, run_steps
from muxi_runtime.vault.key_file import KeyFile
from muxi_runtime.vault.logins import LoginStore
from muxi_runtime.vault.needs import check_secrets
from muxi_runtime.vault.store import Vault
from muxi_sandbox.contract import Check
from muxi_sandbox.errors import ImageMissingError, SandboxError

__all__ = ["check"]


def check(settings: Settings, name: str, out: Output) -> bool:
    """Look, tell, and say whether all is well.

    Raises:
        UnknownToolError: no such server was added.
    """
    AddedServers(settings.home).manifest(name)
    checks: list[Check] = []

    async def look(report: Report) -> str:
        checks.extend(await _checks(settings, name, report))
        return f"{sum(check.ok for check in checks)} of {len(checks)} checks hold"

    with StepDisplay(Console(stderr=out.as_json)) as display:
        anyio.run(partial(run_steps, (Step("doctor", f"looking at {name}", look),), display))
    document = [{"name": c.name, "ok": c.ok, "detail": c.detail, "cure": c.cure} for c in checks]
    rows = [(mark(c.ok), c.name, f"{c.detail} {c.cure}".strip()) for c in checks]
    out.show({"server": name, "checks": document}, table(("", "check", ""), rows))
    return all(c.ok for c in checks)


async def _checks(settings: Settings, name: str, report: Report) -> list[Check]:
    added = AddedServers(settings.home)
    try:
        manifest = load_manifest(added.manifests()[name], name)
    except MuxiError as error:
        return [Check("manifest", ok=False, detail=str(error))]
    checks = [Check("manifest", ok=True, detail=str(added.manifests()[name])), *_secrets(settings, manifest)]
    if name in added.disabled():
        cure = f"`muxi-runtime servers enable {name}`."
        checks.append(Check("enabled", ok=False, detail="It is switched off.", cure=cure))
    try:
        async with open_installer(settings, report) as installer:
            report("asking for its tools")
            lists = await installer.lists(manifest)
    except ImageMissingError:
        cure = f"`muxi-runtime servers update {name}` makes it anew."
        return [*checks, Check("image", ok=False, detail="The engine does not have its image any more.", cure=cure)]
    except LoginNeededError as error:
        return [*checks, _login(settings, manifest, error)]
    except (MuxiError, SandboxError) as error:
        return [*checks, Check("start", ok=False, detail=str(error))]
    verb = "It answers" if manifest.is_remote else "It starts"
    count = len(lists[PinKind.TOOL])
    tools = "1 tool" if count == 1 else f"{count} tools"
    checks.append(Check("start", ok=True, detail=f"{verb} and lists {tools}."))
    listed = {(kind, name_of(kind, d)): pin_of(d) for kind, definitions in lists.items() for d in definitions}
    return [*checks, _pins(settings, manifest, listed)]


def _secrets(settings: Settings, manifest: Manifest) -> list[Check]:
    with opened(settings) as engine:
        vault = Vault(engine, KeyFile(settings.secrets.key_path(settings.home)))
        # To the runtime a missing one is a warning; this server cannot do its work without.
        return [replace(check, ok=not check.cure) for check in check_secrets({manifest.name: manifest}, vault)]


def _login(settings: Settings, manifest: Manifest, error: LoginNeededError) -> Check:
    """It wants one, and there was none that this command could show."""
    with opened(settings) as engine:
        store = LoginStore(engine, KeyFile(settings.secrets.key_path(settings.home)))
        try:
            found = login_of_lister(store, manifest.name, manifest.url)
        except MuxiError as unreadable:
            return Check("login", ok=False, detail=str(unreadable))
    if found is not None and not found[1].is_over:
        return Check("login", ok=True, detail=f"{found[0]} is logged in; the runtime renews it at the next call.")
    who = f"The login of {found[0]} has run out." if found else "Nobody is logged in."
    return Check("login", ok=False, detail=who, cure=f"`{error.command}`.")


def _pins(settings: Settings, manifest: Manifest, listed: dict[tuple[PinKind, str], str]) -> Check:
    with opened(settings) as engine:
        records = PinStore(engine).all(manifest.name)
    identity = identity_of(manifest, manifest.image)
    accepted = {
        (record.kind, record.tool): record.pin
        for record in records
        if record.state is PinState.ACCEPTED and record.identity == identity
    }
    other = sorted(f"{key[0]} {key[1]}" for key, pin in listed.items() if accepted.get(key) != pin)
    if not other:
        return Check("pins", ok=True, detail="Everything is as it was accepted.")
    return Check(
        "pins",
        ok=False,
        detail=f"Not as accepted: {', '.join(other)}.",
        cure=f"`muxi-runtime pins diff {manifest.name}` shows what is different, once the runtime has seen it.",
    )
