"""What the command line asks the running runtime: JSON over HTTP under `/control`, same checks as `/mcp`."""

from __future__ import annotations

import os
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse
from starlette.routing import Route

from muxi_runtime import __version__
from muxi_runtime.errors import MuxiError, RefusedError, UnknownTaskError, VaultError
from muxi_runtime.gateway.host_server import HOST
from muxi_runtime.gateway.http_auth import principal_of
from muxi_runtime.gateway.logins.desk import document_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request
    from starlette.responses import Response

    from muxi_runtime.gateway.logins.desk import LoginDesk
    from muxi_runtime.gateway.specs import SpecBook
    from muxi_runtime.gateway.task import Task
    from muxi_runtime.gateway.tasks import TaskRegistry
    from muxi_runtime.gateway.tools import ToolBook
    from muxi_sandbox.contract import Check
    from muxi_sandbox.pool.shelf import ShelfReport

__all__ = ["Control", "describe_task"]


class Control:
    """The routes and what they tell."""

    def __init__(  # noqa: PLR0913 - one for each part that is told of
        self,
        *,
        tools: ToolBook,
        tasks: TaskRegistry,
        specs: SpecBook,
        installation: str,
        url: Callable[[], str],
        components: Callable[[], Awaitable[list[Check]]],
        pool: Callable[[], list[ShelfReport]],
        reload: Callable[[], Awaitable[dict[str, list[str]]]],
        logins: LoginDesk,
    ) -> None:
        self._tools = tools
        self._tasks = tasks
        self._specs = specs
        self._installation = installation
        self._url = url
        self._components = components
        self._pool = pool
        self._reload_servers = reload
        self._logins = logins

    def routes(self) -> list[Route]:
        """For the application."""
        return [
            Route("/health", self._health),
            Route("/control/status", self._status),
            Route("/control/whoami", self._whoami),
            Route("/control/tasks", self._list_tasks),
            Route("/control/tasks/{task}", self._end_task, methods=["DELETE"]),
            Route("/control/all-tasks", self._list_all_tasks),
            Route("/control/all-tasks/{task}", self._end_any_task, methods=["DELETE"]),
            Route("/control/tasks/{task}/keep", self._keep_task, methods=["PUT"]),
            Route("/control/tasks/{task}/keep", self._release_task, methods=["DELETE"]),
            Route("/control/servers", self._list_servers),
            Route("/control/servers", self._reload, methods=["PUT"]),
            Route("/control/servers/{server}/logs", self._logs),
            Route("/control/tools", self._list_tools),
        ]

    async def _health(self, _request: Request) -> Response:
        return JSONResponse({"status": "ok", "pid": os.getpid(), "home_id": self._installation})

    async def _status(self, _request: Request) -> Response:
        components = [
            {"name": check.name, "ok": check.ok, "detail": check.detail, "cure": check.cure}
            for check in await self._components()
        ]
        return JSONResponse(
            {
                "version": __version__,
                "pid": os.getpid(),
                "url": self._url(),
                "components": components,
                "tasks": len(self._tasks.all()),
                "kept_tasks": sum(task.kept for task in self._tasks.all()),
                "pool": [asdict(report) for report in self._pool()],
            }
        )

    async def _whoami(self, request: Request) -> Response:
        principal = principal_of(request)
        return JSONResponse(
            {
                "user": principal.user,
                "key": principal.key,
                "role": principal.role,
                "groups": sorted(principal.groups),
                "scopes": None if principal.scopes is None else sorted(principal.scopes),
            }
        )

    async def _list_tasks(self, request: Request) -> Response:
        return JSONResponse({"tasks": [describe_task(task) for task in self._tasks.of(principal_of(request))]})

    async def _end_task(self, request: Request) -> Response:
        try:
            task = self._tasks.named(request.path_params["task"], principal_of(request))
        except UnknownTaskError as error:
            return JSONResponse({"error": "unknown_task", "error_description": str(error)}, 404)
        await self._tasks.end(task, "asked for by its owner")
        return JSONResponse({"task": task.id, "ended": True})

    async def _list_all_tasks(self, _request: Request) -> Response:
        return JSONResponse({"tasks": [describe_task(task) for task in self._tasks.all()]})

    async def _end_any_task(self, request: Request) -> Response:
        wanted = request.path_params["task"]
        task = next((task for task in self._tasks.all() if task.id == wanted), None)
        if task is None:
            text = f"There is no task {wanted[:80]!r}; it may have ended."
            return JSONResponse({"error": "unknown_task", "error_description": text}, 404)
        await self._tasks.end(task, f"asked for by {principal_of(request)}")
        return JSONResponse({"task": task.id, "ended": True})

    async def _keep_task(self, request: Request) -> Response:
        try:
            task = self._tasks.named(request.path_params["task"], principal_of(request))
            await self._tasks.keep(task)
        except UnknownTaskError as error:
            return JSONResponse({"error": "unknown_task", "error_description": str(error)}, 404)
        except RefusedError as error:
            return JSONResponse({"error": "refused", "error_description": str(error)}, 409)
        return JSONResponse(describe_task(task))

    async def _release_task(self, request: Request) -> Response:
        try:
            task = self._tasks.named(request.path_params["task"], principal_of(request))
        except UnknownTaskError as error:
            return JSONResponse({"error": "unknown_task", "error_description": str(error)}, 404)
        await self._tasks.release(task)
        return JSONResponse(describe_task(task))

    async def _reload(self, _request: Request) -> Response:
        """It only brings about what is on disk."""
        try:
            return JSONResponse(await self._reload_servers())
        except MuxiError as error:
            return JSONResponse({"error": "refused", "error_description": str(error)}, 409)

    async def _list_servers(self, request: Request) -> Response:
        user = principal_of(request).user
        return JSONResponse({"servers": [await self._server_for(name, user) for name in list(self._tools.servers)]})

    async def _server_for(self, name: str, user: str) -> dict[str, Any]:
        """With how the caller stands there, where a login is wanted."""
        try:
            report = await self._logins.report(name, user)
        except VaultError as error:
            return self._server(name) | {"login": {"state": "unreadable", "why": str(error)}}
        return self._server(name) | ({"login": document_of(report)} if report else {})

    async def _logs(self, request: Request) -> Response:
        """Of the caller's own tasks: what a server writes may tell of the task that it works for."""
        name = request.path_params["server"]
        if name not in self._tools.servers:
            return JSONResponse({"error": "refused", "error_description": f"There is no server {name!r}."}, 404)
        owners = [(task.id, task.owners.get(name)) for task in self._tasks.of(principal_of(request))]
        sandboxes = [
            {"task": task, "sandbox": owner.sandbox, "stderr": owner.stderr_tail}
            for task, owner in owners
            if owner is not None and owner.sandbox
        ]
        return JSONResponse({"server": name, "sandboxes": sandboxes})

    def _server(self, name: str) -> dict[str, Any]:
        known = self._tools.servers[name]
        entry: dict[str, Any] = {
            "name": name,
            "state": "ready" if known.tools else "failed",
            "error": known.error,
            "tools": sorted(known.tools),
            "blocked": dict(known.blocked),
        }
        manifest = self._specs.manifests.get(name)
        if manifest is None:
            host = {
                "title": "Tasks",
                "description": "Runs on the host.",
                "image": "",
                "url": "",
                "profile": {},
                "built_in": True,
            }
            return entry | (host if name == HOST else {})
        return entry | {
            "title": manifest.title,
            "description": manifest.description,
            "image": manifest.image,
            "url": manifest.url,
            "profile": manifest.profile.model_dump(mode="json"),
            "built_in": manifest.built_in,
        }

    async def _list_tools(self, _request: Request) -> Response:
        tools = [tool for known in self._tools.servers.values() for tool in known.tools.values()]
        return JSONResponse(
            {
                "tools": [
                    {"name": t.full_name, "server": t.server, "definition": t.definition, "pin": t.pin} for t in tools
                ]
            }
        )


def describe_task(task: Task) -> dict[str, Any]:
    """A task as its owner sees it."""
    return {
        "task": task.id,
        "principal": str(task.principal),
        "client": task.client,
        "created_at": datetime.fromtimestamp(task.created_at, UTC).isoformat(timespec="seconds"),
        "idle_seconds": round(task.idle_seconds, 1),
        "kept": task.kept,
        "labels": {
            label: {"why": mark.why, "source": mark.source, "call": mark.call or None, "at": mark.at}
            for label, mark in sorted(task.labels.items())
        },
        "declassified": {
            label: {"approval": lift.approval, "by": lift.by, "reason": lift.reason, "until": lift.until}
            for label, lift in sorted(task.lifted.items())
        },
        "withheld": task.rests.count_withheld,
        "sandboxes": [
            {"server": name, "id": owner.sandbox[:12], "state": "paused" if owner.paused else "running"}
            for name, owner in task.owners.items()
            if owner.sandbox
        ],
    }
