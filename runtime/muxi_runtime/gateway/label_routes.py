"""A task's labels, over the control API: seen, set and taken off by a person. No tool and no question leads here.

    GET    /control/tasks/TASK                        the task, and why it has each label
    PUT    /control/tasks/TASK/labels/LABEL           label it
    DELETE /control/tasks/TASK/labels/LABEL?reason=   declassify it: asks an operator; by one, it is done at once

With `&for=task` instead of the default `hour`. 202 says that it waits for an operator, and `approval` of the answer
says by which id. Above: `cli.tasks`. Below: `task_labels`, `declassifying`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from muxi_runtime.catalog.labels import Label
from muxi_runtime.errors import RefusedError, UnknownTaskError
from muxi_runtime.gateway.control import describe_task
from muxi_runtime.gateway.http_auth import principal_of
from muxi_runtime.policy.approvals import Approval, Scope, State

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

    from muxi_runtime.gateway.declassifying import Declassifying
    from muxi_runtime.gateway.task import Task
    from muxi_runtime.gateway.task_labels import TaskLabels
    from muxi_runtime.gateway.tasks import TaskRegistry

    Change = Callable[[Request, Task, Label], Awaitable[Approval | None]]

__all__ = ["BY_A_PERSON", "LabelRoutes"]

BY_A_PERSON = "a person said so"
LENGTHS = (Scope.HOUR.value, Scope.TASK.value)


class LabelRoutes:
    """The routes and what they do."""

    def __init__(self, tasks: TaskRegistry, labels: TaskLabels, declassifying: Declassifying) -> None:
        self._tasks = tasks
        self._labels = labels
        self._declassifying = declassifying

    def routes(self) -> list[Route]:
        """For the application."""
        label = "/control/tasks/{task}/labels/{label}"
        return [
            Route("/control/tasks/{task}", self._show, methods=["GET"]),
            Route(label, self._changed(self._add), methods=["PUT"]),
            Route(label, self._changed(self._remove), methods=["DELETE"]),
        ]

    async def _show(self, request: Request) -> Response:
        try:
            return JSONResponse(describe_task(self._tasks.named(request.path_params["task"], principal_of(request))))
        except UnknownTaskError as error:
            return _refusal("unknown_task", error, 404)

    def _changed(self, change: Change) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            try:
                task = self._tasks.named(request.path_params["task"], principal_of(request))
                approval = await change(request, task, _label(request.path_params["label"]))
            except UnknownTaskError as error:
                return _refusal("unknown_task", error, 404)
            except RefusedError as error:
                return _refusal("refused", error, 409)
            if approval is None:
                return JSONResponse(describe_task(task))
            facts = {"approval": approval.id, "state": approval.state, "expires_at": approval.expires_at}
            waits = approval.state is State.WAITING
            return JSONResponse({**describe_task(task), "approval": facts}, 202 if waits else 200)

        return answer

    async def _add(self, request: Request, task: Task, label: Label) -> None:
        await self._labels.add(task, {label: BY_A_PERSON}, source=str(principal_of(request)))

    async def _remove(self, request: Request, task: Task, label: Label) -> Approval:
        reason = request.query_params.get("reason", "").strip()
        if not reason:
            raise RefusedError("To declassify a task takes a reason: it is kept in the journal.")
        wanted = request.query_params.get("for", Scope.HOUR)
        if wanted not in LENGTHS:
            raise RefusedError(f"A label is taken off for {' or '.join(LENGTHS)}, not for {wanted[:40]!r}.")
        by = principal_of(request)
        return await self._declassifying.ask(task, label, reason=reason, by=by, scope=Scope(wanted))


def _label(text: str) -> Label:
    try:
        return Label(text)
    except ValueError:
        names = " and ".join(Label)
        raise RefusedError(f"There is no label {text[:40]!r}; labels are {names}.") from None


def _refusal(code: str, error: Exception, status: int) -> Response:
    body: dict[str, Any] = {"error": code, "error_description": str(error)}
    return JSONResponse(body, status)
