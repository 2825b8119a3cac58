"""May this caller do that at all? Role first, then scope. The policy's rules come after, at the door."""

from __future__ import annotations

from muxi_runtime.errors import ForbiddenError
from muxi_runtime.identity.principal import Principal
from muxi_runtime.identity.roles import ACTIONS, Action
from muxi_runtime.identity.scopes import covers_call, covers_kind

__all__ = ["demand", "demand_call", "may"]


def may(principal: Principal, action: Action) -> bool:
    """Whether role and scopes allow it."""
    try:
        demand(principal, action)
    except ForbiddenError:
        return False
    return True


def demand(principal: Principal, action: Action) -> None:
    """Let it pass.

    Raises:
        ForbiddenError: the role or the scopes do not allow it; names what is missing.
    """
    grant = ACTIONS[action]
    if principal.role not in grant.roles:
        able = ", ".join(role.value for role in type(principal.role) if role in grant.roles)
        raise ForbiddenError(
            f"{principal.user} has the role {principal.role.value!r}, which does not allow {action.value!r}.",
            remedy=f"Roles that do: {able}. An owner gives one with `muxi-runtime users set {principal.user} --role`.",
        )
    if (
        grant.scopes
        and principal.scopes is not None
        and not any(covers_kind(principal.scopes, kind) for kind in grant.scopes)
    ):
        raise _without_scope(grant.scopes[0], action.value)


def demand_call(principal: Principal, server: str, tool: str | None) -> None:
    """Let a call of a tool pass, or, where `tool` is `None`, the use of a server's resources and prompts.

    Raises:
        ForbiddenError: the role or the scopes do not allow it; names what is missing.
    """
    demand(principal, Action.CALL)
    if not covers_call(principal.scopes, server, tool):
        wanted = f"call:{server}" if tool is None else f"call:{server}.{tool}"
        raise _without_scope(wanted, f"{server}.{tool}" if tool else f"the resources and prompts of {server}")


def _without_scope(scope: str, what: str) -> ForbiddenError:
    return ForbiddenError(
        f"The key or token lacks the scope {scope!r}, which {what} needs.",
        remedy="Use one that has it: `muxi-runtime keys create --scope`, or ask the authorization server for it.",
        scope=scope,
    )
