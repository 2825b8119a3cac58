"""A caller as a server may reach it in mid-call: what it is told and asked is cleaned, and labels its task first."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from muxi_runtime.gateway.caller import Answer, Caller, Inputs, Question
    from muxi_runtime.gateway.guard import Tally
    from muxi_runtime.identity.principal import Principal

__all__ = ["GuardedCaller"]


class GuardedCaller:
    """A `Caller` in front of another."""

    def __init__(
        self,
        caller: Caller,
        tally: Tally,
        first: Callable[[object], Awaitable[None]],
        words: Callable[[Any], Awaitable[Any]],
    ) -> None:
        """`first` is awaited with what the server says (JSON values), before what `words` leaves of it is passed on."""
        self._caller = caller
        self._tally = tally
        self._first = first
        self._words = words

    @property
    def principal(self) -> Principal:
        """See `Caller`."""
        return self._caller.principal

    @property
    def wants_progress(self) -> bool:
        """See `Caller`."""
        return self._caller.wants_progress

    @property
    def capabilities(self) -> Mapping[str, Any]:
        """See `Caller`."""
        return self._caller.capabilities

    @property
    def log_level(self) -> str | None:
        """See `Caller`."""
        return self._caller.log_level

    @property
    def inputs(self) -> Inputs:
        """See `Caller`."""
        return self._caller.inputs

    async def ask(self, question: Question) -> Answer | None:
        """See `Caller`: the question is ours."""
        return await self._caller.ask(question)

    @property
    def asked(self) -> str:
        """See `Caller`."""
        return self._caller.asked

    @property
    def brought_answer(self) -> bool:
        """See `Caller`."""
        return self._caller.brought_answer

    def permitted(self, mark: str, approval: str) -> None:
        """See `Caller`."""
        self._caller.permitted(mark, approval)

    def resumes(self, mark: str) -> str:
        """See `Caller`."""
        return self._caller.resumes(mark)

    async def answers(self, requests: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any]:
        """See `Caller`. Keys are the server's own and go back to it: they are left alone."""
        shown = {key: self._tally.clean(request) for key, request in requests.items()}
        await self._first(shown)
        return await self._caller.answers({key: await self._words(request) for key, request in shown.items()})

    def hand_over(self, requests: Mapping[str, Any], state: str | None) -> bool:
        """See `Caller`: not for a server in mid-call, but for the door."""
        return self._caller.hand_over(requests, state)

    async def notify(self, method: str, params: Mapping[str, Any]) -> None:
        """See `Caller`."""
        shown = self._tally.clean(params)
        await self._first(shown)
        await self._caller.notify(method, await self._words(shown))

    async def progress(self, progress: float, total: float | None, message: str | None) -> None:
        """See `Caller`."""
        if message is not None:
            message = self._tally.clean(message)
            await self._first(message)
            message = await self._words(message)
        await self._caller.progress(progress, total, message)
