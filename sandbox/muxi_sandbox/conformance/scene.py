"""What the checks stand on: the subject, the scene of one check, and how a check says what is wrong."""

from __future__ import annotations

import json
import secrets
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import anyio

from muxi_sandbox.contract import Backend, Lease, Limits, Sandbox, Spec, WorkspaceAccess
from muxi_sandbox.errors import SandboxError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

__all__ = [
    "CHECKS",
    "Check",
    "ConformanceError",
    "Raised",
    "Scene",
    "Subject",
    "ask",
    "check",
    "expect",
    "guest_command",
    "raises",
    "run",
]

CHECK_SECONDS = 50
E = TypeVar("E", bound=Exception)


class ConformanceError(Exception):
    """The backend does not do what the contract says."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A backend under test.

    Attributes:
        connect: a backend for an installation's name; called several times, each is one host process on one engine.
        image: the image, or the in-memory program, that is the guest.
        command: how the guest is started there.
    """

    connect: Callable[[str], AbstractAsyncContextManager[Backend]]
    image: str
    command: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Scene:
    """One check's own installation, with one host process."""

    subject: Subject
    installation: str
    backend: Backend

    def spec(self, **changes: Any) -> Spec:  # noqa: ANN401  # any field of Spec or Limits
        """The guest's spec; names of limits are taken as limits."""
        limits = {key: changes.pop(key) for key in list(changes) if key in Limits.model_fields}
        fields = {"task": "alpha", "server": "guest", "image": self.subject.image, "command": self.subject.command}
        return Spec.model_validate({**fields, "limits": limits, **changes})

    @asynccontextmanager
    async def lease(self, **changes: Any) -> AsyncIterator[Lease]:  # noqa: ANN401  # as for spec
        """A lease of the guest."""
        async with self.backend.lease(self.spec(**changes)) as lease:
            yield lease

    @asynccontextmanager
    async def guest(self, **changes: Any) -> AsyncIterator[Sandbox]:  # noqa: ANN401  # as for spec
        """The sandbox of such a lease."""
        async with self.lease(**changes) as lease:
            yield lease.sandbox

    @asynccontextmanager
    async def writer(self, **changes: Any) -> AsyncIterator[Sandbox]:  # noqa: ANN401  # as for spec
        """A guest that may write to its task's workspace."""
        async with self.guest(workspace=WorkspaceAccess.WRITE, **changes) as sandbox:
            yield sandbox

    def another_host(self, installation: str | None = None) -> AbstractAsyncContextManager[Backend]:
        """One more process on the same engine, by default of the same installation."""
        return self.subject.connect(installation or self.installation)


Check = Callable[[Scene], Awaitable[None]]
CHECKS: dict[str, Check] = {}
"""Every check by name, which reads as what it demands."""


def check(function: Check) -> Check:
    """Enter a check in `CHECKS` under its function's name."""
    CHECKS[function.__name__] = function
    return function


async def run(check_name: str, subject: Subject) -> None:
    """Run one check in an installation of its own.

    Raises:
        ConformanceError: what the backend did instead.
    """
    installation = f"conformance-{secrets.token_hex(4)}"
    with _in_time(check_name):
        async with subject.connect(installation) as backend:
            await CHECKS[check_name](Scene(subject, installation, backend))
        async with subject.connect(installation) as afterwards:
            left = await afterwards.reap()
            expect(left == 0, f"{left} sandboxes or workspaces were left behind")


@contextmanager
def _in_time(check_name: str) -> Iterator[None]:
    try:
        with anyio.fail_after(CHECK_SECONDS):
            yield
    except TimeoutError:
        raise ConformanceError(f"{check_name} took more than {CHECK_SECONDS} s: some wait has no bound") from None


def guest_command(python: str = "python3") -> tuple[str, ...]:
    """How to start the guest where there is a Python of 3.9 or newer."""
    source = resources.files("muxi_sandbox.conformance").joinpath("guest.py").read_text("utf-8")
    return (python, "-I", "-c", source)


def expect(condition: object, otherwise: str) -> None:
    """Raise `ConformanceError` unless the condition holds."""
    if not condition:
        raise ConformanceError(otherwise)


class Raised(Generic[E]):
    """What `raises` caught, once its block is over."""

    error: E


@contextmanager
def raises(kind: type[E]) -> Iterator[Raised[E]]:
    """Demand that the block raises exactly this kind."""
    raised: Raised[E] = Raised()
    try:
        yield raised
    except kind as error:
        raised.error = error
        expect(type(error) is kind, f"raised {error!r}, not plain {kind.__name__}")
        return
    except SandboxError as error:
        raise ConformanceError(f"raised {error!r}, not {kind.__name__}") from error
    raise ConformanceError(f"did not raise {kind.__name__}")


async def ask(sandbox: Sandbox, do: str, **arguments: Any) -> Any:  # noqa: ANN401  # the guest's JSON
    """Have the guest do something; its answer."""
    await sandbox.send(json.dumps({"do": do, **arguments}).encode())
    return json.loads(await sandbox.receive())
