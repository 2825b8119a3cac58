"""What models were not given, over the control API: for a person of the task's. No tool and no resource leads here.

    GET /control/tasks/TASK/withheld         what is still kept
    GET /control/tasks/TASK/withheld/NAME    one, whole; the journal has who read it

Above: `cli.tasks`. Below: the task's `rests`, where `withholding` put it.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse
from starlette.routing import Route

from muxi_runtime.errors import InvalidArgumentsError, UnknownTaskError
from muxi_runtime.gateway.http_auth import principal_of
from muxi_runtime.journal.contract import Draft

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from muxi_runtime.gateway.rests import Rest
    from muxi_runtime.gateway.tasks import TaskRegistry
    from muxi_runtime.journal.contract import Journal

__all__ = ["WithheldRoutes"]


class WithheldRoutes:
    """The routes and what they tell."""

    def __init__(self, tasks: TaskRegistry, journal: Journal, seconds: float) -> None:
        """What was kept for `seconds` is gone."""
        self._tasks = tasks
        self._journal = journal
        self._seconds = seconds

    def routes(self) -> list[Route]:
        """For the application."""
        return [
            Route("/control/tasks/{task}/withheld", self._list),
            Route("/control/tasks/{task}/withheld/{name}", self._show),
        ]

    async def _list(self, request: Request) -> Response:
        try:
            task = self._tasks.named(request.path_params["task"], principal_of(request))
        except UnknownTaskError as error:
            return _missing("unknown_task", error)
        kept = task.rests.withheld(self._seconds)
        return JSONResponse({"withheld": [self._told(name, rest) for name, rest in kept.items()]})

    async def _show(self, request: Request) -> Response:
        principal, name = principal_of(request), request.path_params["name"]
        try:
            task = self._tasks.named(request.path_params["task"], principal)
            rest = task.rests.withheld_from_model(name, self._seconds)
        except UnknownTaskError as error:
            return _missing("unknown_task", error)
        except InvalidArgumentsError as error:
            return _missing("unknown_result", error)
        data = {"name": name, "source": rest.carried.source[:500], "characters": len(rest.text)}
        await self._journal.append(Draft("withheld.read", principal=str(principal), task=task.id, data=data))
        return JSONResponse({**self._told(name, rest), "text": rest.text})

    def _told(self, name: str, rest: Rest) -> dict[str, Any]:
        return {
            "name": name,
            "source": rest.carried.source,
            "characters": len(rest.text),
            "rules": sorted(rest.rules),
            "seconds_left": max(0, round(self._seconds - (time.monotonic() - rest.at))),
        }


def _missing(code: str, error: Exception) -> Response:
    return JSONResponse({"error": code, "error_description": str(error)}, 404)
