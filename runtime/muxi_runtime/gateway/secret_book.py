"""What sandboxes of a server get of its secrets: placeholders, where they are replaced, and what is exposed."""

from __future__ import annotations

from collections.abc import Mapping

from muxi_runtime.catalog.manifest import Manifest
from muxi_runtime.catalog.secret_profile import hosts_of
from muxi_runtime.policy.questions import place
from muxi_runtime.vault.placeholders import placeholder
from muxi_runtime.vault.store import Vault
from muxi_sandbox.contract import SecretRoute

__all__ = ["SecretBook"]


class SecretBook:
    """Without a vault nothing is replaced or exposed: a server that is only tried sees placeholders of no use."""

    def __init__(self, installation: str, vault: Vault | None) -> None:
        self._installation = installation
        self._vault = vault

    def placeholders(self, manifest: Manifest) -> dict[str, str]:
        """What stands for each, by name: also for what is exposed, until it is."""
        return {name: placeholder(self._installation, manifest.name, name) for name in manifest.profile.secrets}

    def routes(self, manifest: Manifest) -> tuple[SecretRoute, ...]:
        """Where the proxy replaces them."""
        if self._vault is None:
            return ()
        standing = self.placeholders(manifest)
        return tuple(
            SecretRoute(
                name=name,
                placeholder=standing[name],
                hosts=tuple(place(host, port) for host, port in hosts_of(use)),
                places=use.places,
            )
            for name, use in manifest.profile.secrets.items()
            if not use.expose
        )

    def exposed(self, manifest: Manifest) -> Mapping[str, str]:
        """Values that the server is given as they are, by name.

        Raises:
            VaultError: one is not set, or cannot be read.
        """
        names = [name for name, use in manifest.profile.secrets.items() if use.expose]
        return {name: self._vault.value(name) for name in names} if self._vault else {}
