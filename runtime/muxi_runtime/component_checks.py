"""What `status` shows of a running system, part by part."""

from __future__ import annotations

import time

from anyio import to_thread

from muxi_runtime.gateway.logins.desk import LoginDesk
from muxi_runtime.gateway.policy_watch import PolicyWatch
from muxi_runtime.gateway.reload import LiveCatalog
from muxi_runtime.gateway.tools import ToolBook
from muxi_runtime.gateway.upstream import Upstream
from muxi_runtime.gateway.wishes import pool_check
from muxi_runtime.journal.contract import Draft, Journal
from muxi_runtime.setup.proof import check_runtimes
from muxi_runtime.vault.needs import check_secrets
from muxi_runtime.vault.store import Vault
from muxi_sandbox.contract import Backend, BackendHealth, Check
from muxi_sandbox.pool.pool import Pool

__all__ = ["ComponentChecks"]


class ComponentChecks:
    """Looks at the parts of one running system."""

    def __init__(  # noqa: PLR0913 - one for each part that is looked at
        self,
        *,
        backend: Backend,
        journal: Journal,
        tools: ToolBook,
        live: LiveCatalog,
        pool: Pool[Upstream],
        policy: PolicyWatch,
        keys_required: bool,
        vault: Vault,
        logins: LoginDesk,
    ) -> None:
        self._backend = backend
        self._journal = journal
        self._tools = tools
        self._live = live
        self._pool = pool
        self._policy = policy
        self._keys_required = keys_required
        self._vault = vault
        self._logins = logins

    async def all(self) -> list[Check]:
        """Each part: whether it works, and what cures it if not."""
        health = await self._backend.health()
        started = time.monotonic()
        await self._journal.append(Draft("runtime.checked"))
        journal = f"an event is durable in {(time.monotonic() - started) * 1000:.1f} ms"
        required = self._keys_required
        offered = [name for name, server in self._tools.servers.items() if server.tools]
        failed = [f"{name}: {server.error}" for name, server in self._tools.servers.items() if not server.tools]
        return [
            Check("gateway", ok=True, detail="keys required" if required else "loopback, no key needed"),
            Check("engine", health.ok, health.summary, cure="" if health.ok else "See `muxi-runtime doctor`."),
            Check("journal", ok=True, detail=journal),
            Check(
                "servers",
                not failed,
                ", ".join(offered) + ("; not offered: " + "; ".join(failed) if failed else ""),
                cure="See `muxi-runtime servers list`." if failed else "",
            ),
            self._policy.check(),
            pool_check(self._pool.report()),
            *check_runtimes(self._live.now.servers, health.runtimes),
            *self._egress(health),
            *await to_thread.run_sync(check_secrets, self._live.now.servers, self._vault),
            *await self._logins.checks([name for name, server in self._live.now.servers.items() if server.is_remote]),
        ]

    def _egress(self, health: BackendHealth) -> list[Check]:
        """Which servers may reach hosts, and whether they can; nothing where none may."""
        hosts = {name: server.profile.network.allow for name, server in self._live.now.servers.items()}
        named = ", ".join(name for name, allowed in hosts.items() if allowed)
        if not named:
            return []
        broken = next((check for check in health.checks if check.name == "egress" and check.cure), None)
        if broken is not None:
            return [Check("egress", ok=False, detail=broken.detail, cure=broken.cure)]
        return [Check("egress", ok=True, detail=f"for {named}; see `muxi-runtime servers list`")]
