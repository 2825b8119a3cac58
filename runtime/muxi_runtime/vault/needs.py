"""Whether the secrets that servers need are set, for `status` and `servers doctor`."""

from __future__ import annotations

from collections.abc import Mapping

from muxi_runtime.catalog.manifest import Manifest
from muxi_runtime.errors import VaultError
from muxi_runtime.vault.store import Vault
from muxi_sandbox.contract import Check

__all__ = ["check_secrets"]


def check_secrets(servers: Mapping[str, Manifest], vault: Vault) -> list[Check]:
    """One check, or none where no server needs a secret. One that is not set is a warning. Blocks for milliseconds."""
    needs = {name: list(server.profile.secrets) for name, server in servers.items() if server.profile.secrets}
    if not needs:
        return []
    wanted = sorted({secret for names in needs.values() for secret in names})
    try:
        there = {record.name for record in vault.list()}
        for name in wanted:
            if name in there:
                vault.value(name)
    except VaultError as error:
        return [Check("secrets", ok=False, detail=Exception.__str__(error), cure=error.remedy)]
    missing = [name for name in wanted if name not in there]
    if not missing:
        return [Check("secrets", ok=True, detail=f"{', '.join(wanted)} for {', '.join(needs)}")]
    waiting = ", ".join(name for name, names in needs.items() if set(names) & set(missing))
    cure = " ".join(f"`muxi-runtime secrets set {name}`." for name in missing)
    return [Check("secrets", ok=True, detail=f"warning: not set: {', '.join(missing)}, for {waiting}", cure=cure)]
