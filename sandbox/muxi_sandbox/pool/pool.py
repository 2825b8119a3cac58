"""The warm pool: sandboxes that run already, with their server ready, before anybody asks for one.

Above it: the gateway, which takes a session of a task. Below it: `Backend.prepare` and `Backend.lease`. What makes a
sandbox ready is given from above, as `warm`.

A sandbox is taken once and never put back: there is no way to. Where none is ready one is made at once, for the task,
which is not slower than without a pool; so many at a time, since an engine that is asked for more only gets slower.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Self, TypeVar

import anyio

from muxi_sandbox.contract import Backend, Lease, Sandbox, Spec
from muxi_sandbox.errors import SandboxError, StartFailedError
from muxi_sandbox.pool.item import Item, Session, State
from muxi_sandbox.pool.shelf import Shelf, ShelfReport

if TYPE_CHECKING:
    from types import TracebackType

    from anyio.abc import TaskGroup

    from muxi_sandbox.pool.settings import PoolSettings

__all__ = ["Leased", "Pool", "Wish"]

log = logging.getLogger(__name__)
S = TypeVar("S", bound=Session)
LONGEST_NAP = 5.0


@dataclass(frozen=True, slots=True)
class Wish:
    """What should be ready: sandboxes of this spec, at least and at most so many. Its task is not looked at."""

    spec: Spec
    floor: int
    ceiling: int


@dataclass(frozen=True, slots=True)
class Leased(Generic[S]):
    """A lease with its session."""

    lease: Lease
    session: S
    was_warm: bool


class Pool(Generic[S]):
    """An async context manager: leaving it ends every sandbox that nobody claimed."""

    def __init__(
        self,
        backend: Backend,
        warm: Callable[[Sandbox], AbstractAsyncContextManager[S]],
        settings: PoolSettings,
    ) -> None:
        self._backend = backend
        self._warm = warm
        self._settings = settings
        self._shelves: dict[str, Shelf[S]] = {}
        self._changed = anyio.Event()
        self._turns = anyio.Semaphore(settings.cold_at_once)
        self._making = 0
        self._tasks: TaskGroup

    async def __aenter__(self) -> Self:
        self._tasks = anyio.create_task_group()
        await self._tasks.__aenter__()
        self._tasks.start_soon(self._refill)
        self._tasks.start_soon(self._look_after)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._tasks.cancel_scope.cancel()
        await self._tasks.__aexit__(None, None, None)

    def want(self, wishes: Mapping[str, Wish]) -> None:
        """Hold these ready from now on, by server; what is not wished for any more is ended."""
        wanted = {_key(wish.spec): wish for wish in wishes.values() if self._backend.can_prepare(wish.spec)}
        for key in set(self._shelves) - set(wanted):
            for item in self._shelves.pop(key).in_state(State.READY):
                item.release()
        for key, wish in wanted.items():
            shelf = self._shelves.get(key)
            if shelf is None:
                spec = wish.spec.model_copy(update={"task": None})
                self._shelves[key] = Shelf(spec, wish.floor, wish.ceiling, self._settings.half_life_seconds)
            else:
                shelf.floor, shelf.ceiling = wish.floor, wish.ceiling
        self._notify()

    @asynccontextmanager
    async def lease(self, spec: Spec) -> AsyncIterator[Leased[S]]:
        """A sandbox of `spec.task` with its session, for the block: a ready one, or one made now.

        Raises:
            SandboxError: as `Backend.lease`.
            Exception: what `warm` raises where the program inside cannot be made ready.
            ValueError: the spec names no task.
        """
        if spec.task is None:
            raise ValueError("a lease is for a task: the spec names none")
        shelf = self._shelves.get(_key(spec))
        if shelf is not None:
            shelf.note_demand()
            self._notify()
            item, lease = await self._claim(shelf, spec.task)
            if item is not None and lease is not None:
                try:
                    yield Leased(lease, item.session, was_warm=True)
                finally:
                    await self._let_go(item)
                return
            shelf.misses += 1
        async with self._made_now(spec, shelf) as leased:
            yield leased

    async def _claim(self, shelf: Shelf[S], task: str) -> tuple[Item[S] | None, Lease | None]:
        """The newest ready one that can be had: the older ones grow older, and are replaced."""
        while ready := shelf.in_state(State.READY):
            item = ready[-1]
            started = anyio.current_time()
            try:
                lease = await item.claim(task)
            except SandboxError as error:
                log.info("a ready sandbox of %s could not be claimed: %s", shelf.spec.server, error)
                item.release()
                continue
            except BaseException:
                item.release()
                raise
            shelf.claims.append(anyio.current_time() - started)
            shelf.hits += 1
            return item, lease
        return None, None

    async def _let_go(self, item: Item[S]) -> None:
        item.release()
        with anyio.CancelScope(shield=True):  # bounded by the backend's own removal
            await item.wait_over()

    @asynccontextmanager
    async def _made_now(self, spec: Spec, shelf: Shelf[S] | None) -> AsyncIterator[Leased[S]]:
        turn = await self._turn(spec, shelf)
        try:
            async with self._backend.lease(spec) as lease, self._warm(lease.sandbox) as session:
                turn()
                yield Leased(lease, session, was_warm=False)
        finally:
            turn()

    async def _turn(self, spec: Spec, shelf: Shelf[S] | None) -> Callable[[], None]:
        """Wait until it may be made; what comes back says that it was."""
        if shelf is not None and not self._turns.value:
            shelf.waits += 1
        self._making += 1
        has_turn = True

        def over() -> None:
            nonlocal has_turn
            if has_turn:
                has_turn = False
                self._making -= 1
                self._turns.release()
                self._notify()

        try:
            with anyio.fail_after(self._settings.queue_seconds):
                await self._turns.acquire()
        except BaseException as error:
            self._making -= 1
            if isinstance(error, TimeoutError):
                limit = self._settings.queue_seconds
                raise StartFailedError(
                    f"A sandbox of server {spec.server!r} could not be made within pool.queue_seconds of {limit:g}: "
                    "too many others are being made. Try again, or have more ready with pool.ceiling."
                ) from None
            raise
        return over

    async def filled(self) -> None:
        """Wait until as many are ready as are wanted, failing ones not counted."""
        while any(shelf.missing > 0 or shelf.in_state(State.STARTING) for shelf in self._shelves.values()):
            await self._changed.wait()

    def report(self) -> list[ShelfReport]:
        """The numbers of each server that has ready sandboxes, by name."""
        return sorted((shelf.report() for shelf in self._shelves.values()), key=lambda report: report.server)

    def _notify(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()

    async def _refill(self) -> None:
        """One at a time, and only while no task waits for one of its own: calls that run must not suffer."""
        while True:
            shelf = self._neediest()
            if shelf is None or self._making:
                nap = min([shelf.resumes_in for shelf in self._shelves.values() if shelf.resumes_in] or [LONGEST_NAP])
                with anyio.move_on_after(min(nap, LONGEST_NAP)):
                    await self._changed.wait()
                continue
            await self._add(shelf)
            await anyio.sleep(self._settings.refill_pause_seconds)

    def _neediest(self) -> Shelf[S] | None:
        held = sum(
            item.state in (State.READY, State.STARTING) for shelf in self._shelves.values() for item in shelf.items
        )
        if held >= self._settings.total:
            return None
        return max((shelf for shelf in self._shelves.values() if shelf.missing > 0), key=_need, default=None)

    async def _add(self, shelf: Shelf[S]) -> None:
        try:
            image_id = await self._backend.image_id(shelf.spec.image)
        except SandboxError as error:
            shelf.note_failure(error)
            return
        item: Item[S] = Item(shelf.spec, image_id)
        shelf.items.append(item)
        self._tasks.start_soon(self._hold, shelf, item)
        await item.settled.wait()

    async def _hold(self, shelf: Shelf[S], item: Item[S]) -> None:
        def changed() -> None:
            if item.state is State.READY:
                shelf.note_success(anyio.current_time() - item.started_at)
                if shelf not in self._shelves.values():
                    item.release()
            self._notify()

        try:
            await item.run(self._backend, self._warm, changed)
        finally:
            shelf.items.remove(item)
            if item.error is not None:
                log.warning("a sandbox of %s could not be held ready: %s", shelf.spec.server, item.error)
                shelf.note_failure(item.error)
            self._notify()

    async def _look_after(self) -> None:
        """End what is too old, too many, of an older image, or does not answer."""
        while True:
            await anyio.sleep(self._settings.check_seconds)
            for shelf in list(self._shelves.values()):
                await self._look_at(shelf)

    async def _look_at(self, shelf: Shelf[S]) -> None:
        for item in list(shelf.surplus(self._settings.max_age_seconds)):
            item.release()
        try:
            image_id = await self._backend.image_id(shelf.spec.image)
        except SandboxError as error:
            log.info("the image of %s cannot be looked at: %s", shelf.spec.server, error)
            return
        for item in shelf.in_state(State.READY):
            if item.image_id != image_id or not await self._answers(item):
                item.release()

    async def _answers(self, item: Item[S]) -> bool:
        try:
            with anyio.fail_after(self._settings.check_seconds):
                await item.session.check()
        except Exception as error:  # noqa: BLE001  # whatever is wrong with it, another one is made
            log.warning("a ready sandbox of %s does not answer and is replaced: %s", item.spec.server, error)
            return False
        return True


def _need(shelf: Shelf[S]) -> float:
    """Those with nothing ready come first."""
    return shelf.missing + (0 if shelf.in_state(State.READY) else 1000)


def _key(spec: Spec) -> str:
    return spec.model_dump_json(exclude={"task"})
