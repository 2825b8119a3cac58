"""Gives values of secrets to the egress proxy, one connection at a time: the `SecretKeeper` of the runtime.

Above: the proxy, which asks when a placeholder stands in its own place of a request to its own host, and which notes
each use by `EgressGate.tell`. Below: the policy and the vault. Whose task it is comes from the task registry.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence

from anyio import to_thread

from muxi_runtime.errors import UnknownSecretError, VaultError
from muxi_runtime.gateway.egress import BROKEN, NO_TASK
from muxi_runtime.identity.principal import Principal
from muxi_runtime.policy.contract import Effect, Policy, SecretUse
from muxi_runtime.vault.store import Vault
from muxi_sandbox.egress.contract import Destination, Grant, Peer, Verdict

__all__ = ["MISSING", "UNREADABLE", "SecretGate"]

logger = logging.getLogger(__name__)

MISSING = "secret-missing"
UNREADABLE = "vault-failed"
"""Stand for a rule where there is no value."""


class SecretGate:
    """See the module."""

    def __init__(
        self,
        *,
        policy: Policy,
        vault: Vault,
        principal_of: Callable[[str], Principal | None],
        labels_of: Callable[[str], frozenset[str]],
        built_in: Callable[[str], bool],
    ) -> None:
        """`principal_of` tells whose a task is, `None` for no open one; `labels_of` what it has seen.

        `built_in` tells whether a server comes with this runtime.
        """
        self._policy = policy
        self._vault = vault
        self._principal_of = principal_of
        self._labels_of = labels_of
        self._built_in = built_in

    async def grant(self, peer: Peer, name: str, destination: Destination) -> Grant:
        """See `SecretKeeper.grant`."""
        try:
            verdict = self._decide(peer, name, destination)
            if not verdict.allowed:
                return Grant(verdict)
            return Grant(verdict, await to_thread.run_sync(self._vault.value, name))
        except UnknownSecretError as error:
            return Grant(_refused(MISSING, Exception.__str__(error), error.remedy))
        except VaultError as error:
            return Grant(_refused(UNREADABLE, Exception.__str__(error), error.remedy))
        except Exception as error:  # the contract: whatever goes wrong in here is a refusal
            logger.exception("the use of a secret could not be decided")
            return Grant(_refused(BROKEN, f"The decision failed ({type(error).__name__}).", "See the runtime's log."))

    async def values(self, names: Sequence[str]) -> Mapping[str, str]:
        """See `SecretKeeper.values`.

        Raises:
            VaultError: one of them cannot be read.
        """
        return await to_thread.run_sync(self._values, tuple(names))

    def _values(self, names: Sequence[str]) -> dict[str, str]:
        there = {record.name for record in self._vault.list()}
        return {name: self._vault.value(name) for name in names if name in there}

    def _decide(self, peer: Peer, name: str, destination: Destination) -> Verdict:
        principal = self._principal_of(peer.task)
        if principal is None:
            return _refused(NO_TASK, "The sandbox belongs to no open task.", "Use the secret in a tool call.")
        decision = self._policy.decide(
            SecretUse(
                principal=principal,
                server=peer.server,
                name=name,
                host=destination.host,
                port=destination.port,
                task=peer.task,
                built_in=self._built_in(peer.server),
                labels=self._labels_of(peer.task),
            )
        )
        if decision.effect is Effect.ASK:
            reason = f"{decision.reason} A connection cannot wait for a person's answer."
            return _refused(decision.rule, reason, "Permit it by a rule, or use the secret in another task.")
        allowed = decision.effect is Effect.ALLOW
        return Verdict(allowed=allowed, rule=decision.rule, reason=decision.reason, remedy=decision.remedy)


def _refused(rule: str, reason: str, remedy: str) -> Verdict:
    return Verdict(allowed=False, rule=rule, reason=reason, remedy=remedy)
