"""What a running runtime says of itself over HTTP."""

from __future__ import annotations

from typing import Any

import httpx2

__all__ = ["ask_health", "ask_status"]

REQUEST_SECONDS = 10


async def ask_health(url: str) -> dict[str, Any] | None:
    """The answer of `/health` beside an endpoint such as `http://127.0.0.1:7890/mcp`; `None` without one."""
    return await _get(url, "/health")


async def ask_status(url: str) -> dict[str, Any] | None:
    """The answer of `/control/status`; `None` if there is none, or only for those with a key."""
    return await _get(url, "/control/status")


async def _get(url: str, path: str) -> dict[str, Any] | None:
    # No proxy of the environment may come between a machine and itself. It is plain HTTP, and loading the certificates
    # would cost 50 ms.
    async with httpx2.AsyncClient(trust_env=False, timeout=REQUEST_SECONDS, verify=False) as client:
        try:
            answer = await client.get(url.removesuffix("/mcp") + path)
            found = answer.json() if answer.is_success else None
        except (httpx2.HTTPError, ValueError):
            return None
    return found if isinstance(found, dict) else None
