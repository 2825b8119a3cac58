"""Brings the rules in force up to date with their files: when they change, and when somebody asks.

Rules that are wrong change nothing: the old ones hold on, `status` says what is wrong and where, and so does the
journal. A file must have stayed as it is for one look before it is read: half of one could lack a forbid.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import anyio
from anyio import to_thread
from starlette.responses import JSONResponse
from starlette.routing import Route

from muxi_runtime.errors import ConfigError, JournalError, MuxiError
from muxi_runtime.journal.contract import Draft
from muxi_runtime.policy.live import stamp
from muxi_sandbox.contract import Check

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.requests import Request
    from starlette.responses import Response

    from muxi_runtime.journal.contract import Journal
    from muxi_runtime.policy.live import LivePolicy, Stamp

__all__ = ["PolicyWatch"]

logger = logging.getLogger(__name__)

LOOK_SECONDS = 1


class PolicyWatch:
    """Looks at the files of one policy."""

    def __init__(self, policy: LivePolicy, journal: Journal, source: Path) -> None:
        """`source` is the configuration file, which names the files; it need not exist."""
        self._policy = policy
        self._journal = journal
        self._source = source
        self._turn = anyio.Lock()
        self._problem = ""
        self._stamp: Stamp = ()

    async def run(self) -> None:
        """Look until cancelled."""
        self._stamp = seen = await self._look()
        while True:
            await anyio.sleep(LOOK_SECONDS)
            before, seen = seen, await self._look()
            if seen == before and seen != self._stamp:
                await self._try()

    async def _try(self) -> None:
        try:
            await self.reload()
        except ConfigError as error:
            logger.warning("the rules stay as they were: %s", error)
        except JournalError:
            logger.exception("the rules cannot be changed: it is not in the journal")

    async def tell_loaded(self) -> None:
        """Note which rules hold from now on.

        Raises:
            JournalError: it could not be noted.
        """
        await self._journal.append(Draft("policy.loaded", data=self._facts()))

    async def reload(self) -> dict[str, Any]:
        """Take the files as they are now: `changed`, and what holds then.

        Raises:
            ConfigError: they cannot be used; the rules stay as they were.
            JournalError: it could not be noted.
        """
        async with self._turn:
            self._stamp = await self._look()
            try:
                changed = await to_thread.run_sync(self._policy.reload)
            except ConfigError as error:
                self._problem = str(error)
                await self._journal.append(Draft("policy.refused", data={"message": self._problem[:2000]}))
                raise
            self._problem = ""
            if changed:
                await self.tell_loaded()
        return {"changed": changed, **self._facts()}

    def routes(self) -> list[Route]:
        """For the application."""
        return [Route("/control/policy", self._reload, methods=["PUT"])]

    async def _reload(self, _request: Request) -> Response:
        """The operator's files say what holds."""
        try:
            return JSONResponse(await self.reload())
        except MuxiError as error:
            return JSONResponse({"error": "refused", "error_description": str(error)}, 409)

    def check(self) -> Check:
        """For `status`."""
        count = len(self._policy.rules.rules)
        if not self._problem:
            return Check("policy", ok=True, detail=f"{count} rules from {', '.join(self._names())}")
        return Check(
            "policy",
            ok=False,
            detail=f"the rules on disk are wrong, and the {count} from before still hold: {self._problem}",
            cure="Correct them; `muxi-runtime policy check` says whether they are right.",
        )

    async def _look(self) -> Stamp:
        return await to_thread.run_sync(stamp, [self._source, *self._policy.files])

    def _facts(self) -> dict[str, Any]:
        rules = self._policy.rules
        return {"digest": rules.digest, "rules": len(rules.rules), "files": self._names()}

    def _names(self) -> list[str]:
        return sorted({rule.file for rule in self._policy.rules.rules.values()}) or ["nowhere"]
