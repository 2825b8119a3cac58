"""What a server sent becomes what its caller gets: guarded, and the task labelled before.

Above: the door. Below: `guard` (what is taken out and cut), `labels` (which labels), `task_labels` (the task's own).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from muxi_runtime.catalog.labels import Label
from muxi_runtime.errors import ServerError
from muxi_runtime.gateway.guard import LABELS_META, Guarded, admit, fit
from muxi_runtime.gateway.host_server import HOST, wanted_rest
from muxi_runtime.gateway.rests import Carried, make_room, parse
from muxi_runtime.gateway.tools import Tool

if TYPE_CHECKING:
    from muxi_runtime.gateway.labels import LabelBook, Reasons
    from muxi_runtime.gateway.settings import GatewaySettings
    from muxi_runtime.gateway.task import Task
    from muxi_runtime.gateway.task_labels import TaskLabels
    from muxi_runtime.gateway.underway import Call
    from muxi_runtime.gateway.withholding import Withholding

__all__ = ["Giving"]


class Giving:
    """Gives out results."""

    def __init__(
        self,
        *,
        book: LabelBook,
        labels: TaskLabels,
        tasks: Callable[[], Iterable[Task]],
        settings: GatewaySettings,
        withholding: Withholding,
    ) -> None:
        """`tasks` are all that are open: what they keep of long results is bounded together."""
        self._book = book
        self._labels = labels
        self._tasks = tasks
        self._settings = settings
        self._withholding = withholding

    def is_remote(self, server: str) -> bool:
        """Whether a server runs elsewhere."""
        return self._book.is_remote(server)

    async def guard(self, call: Call, result: Mapping[str, Any]) -> Guarded:
        """What may be given out. The task is labelled by then.

        Raises:
            ServerError: nothing of it may be.
            JournalError: a label could not be journalled.
        """
        has_schema = isinstance(call.tool, Tool) and "outputSchema" in call.tool.definition
        admitted = admit(result, name=call.tool.full_name, settings=self._settings, tally=call.tally)
        given = await self._withholding.result(call, admitted.given, result, admitted.size)
        guarded = fit(
            admitted,
            given,
            settings=self._settings,
            tally=call.tally,
            keep=partial(self._keep, call, result),
            has_schema=has_schema,
        )
        more = {} if call.request.server == HOST else self._book.of_text(guarded.text)
        await self.label(call, more, result)
        if call.task is not None and call.task.words is not None:
            self.note_words(call, json.loads(guarded.text), result)  # also what was cut
        if call.labels and isinstance(call.tool, Tool) and call.request.server != HOST:
            meta = {**(guarded.result.get("_meta") or {}), LABELS_META: sorted(call.labels)}
            guarded.result["_meta"] = meta
        return guarded

    def _keep(self, call: Call, result: Mapping[str, Any], text: str, mime_type: str) -> str:
        if call.task is None:
            raise ServerError(f"The result of {call.tool.full_name} is too long.")
        settings = self._settings
        reasons = {**self._book.of_text(text), **self._book.of_result(call.tool, call.request.arguments, result)}
        uri = call.task.rests.put(
            text,
            mime_type,
            limit=settings.kept_results_bytes,
            seconds=settings.kept_result_seconds,
            of=Carried(_source(call), reasons),
        )
        make_room((task.rests for task in self._tasks()), settings.all_kept_results_bytes)
        return uri

    def note_words(self, call: Call, value: object, result: Mapping[str, Any] | None = None) -> None:
        """Keep what comes back (JSON values), for whence later values come. The task is labelled by then."""
        if call.task is None or call.task.words is None or call.request.server == HOST:
            return
        reasons = self._book.of_result(call.tool, call.request.arguments, result)
        # A server that shares files or hosts with others may give back what a stranger wrote there.
        shared = Label.UNTRUSTED in call.labels and not self._book.is_apart(call.tool.server)
        call.task.words.returned(
            value,
            untrusted=Label.UNTRUSTED in reasons or shared,
            private=Label.PRIVATE in reasons or bool(self._book.of_text(value)),
        )

    async def words(self, call: Call, said: Any) -> Any:  # noqa: ANN401  # JSON in, JSON out
        """What the server says in mid-call as it may be passed on; `reach` is told all of it before."""
        return await self._withholding.words(call, said)

    async def fail(self, call: Call, error: Exception) -> None:
        """Before an error is given out, which may quote what the server sent. Raises JournalError."""
        await self.label(call)
        self.note_words(call, str(error))
        await self._withholding.mend(call, error)

    async def reach(self, call: Call, said: object) -> None:
        """Before something that the server says in mid-call (JSON values) is passed on. Raises JournalError."""
        await self.label(call)
        self.note_words(call, said)

    async def label(self, call: Call, more: Reasons | None = None, result: Mapping[str, Any] | None = None) -> None:
        """Before anything of the server's is given out. What it is makes no difference: an error may hold as much.

        Only the origins of records do, in a whole `result`.

        Raises:
            JournalError: it could not be journalled.
        """
        if call.task is None or call.request.server == HOST:
            return
        reasons = {**(more or {}), **self._book.of_result(call.tool, call.request.arguments, result)}
        await self._labels.add(call.task, reasons, source=_source(call), call=call.id)

    async def read_on(self, call: Call) -> None:
        """Before a kept result is read: it labels the task as it did the first time.

        Raises:
            InvalidArgumentsError: what is asked for is no kept result.
            JournalError: a label could not be journalled.
        """
        uri = wanted_rest(call.request) if call.request.server == HOST else None
        if call.task is None or uri is None:
            return
        carried = call.task.rests.carried(parse(uri).id)
        await self._labels.add(call.task, dict(carried.labels), source=carried.source, call=call.id)


def _source(call: Call) -> str:
    return f"{call.tool.server}.{call.tool.name}"
