"""What can go wrong with a sandbox. Every one of these is our fault or the engine's, never a tool's result.

    SandboxError
    ├── EngineUnavailableError    no engine answers; nothing was started, or what ran is out of reach
    ├── EngineRestartedError      the engine went away and came back under an open sandbox
    ├── SpecRefusedError          a defence that the spec needs cannot be set up: fail closed
    ├── ImageMissingError         the image is not on this engine
    ├── ImageBuildError           an image of this project could not be built, or its base not be had
    ├── StartFailedError          the container could not be started
    ├── SandboxDiedError          the container ended by itself: crash, kill, out of memory
    ├── OutputFloodError          the program wrote more than its limit; the sandbox was killed
    ├── LeaseExpiredError         the lease's time is over; the sandbox was killed
    └── SandboxClosedError        used after its lease ended: a mistake in the caller

Each message says what happened, to which thing, and what to do next.
"""

from __future__ import annotations

__all__ = [
    "EngineRestartedError",
    "EngineUnavailableError",
    "ImageBuildError",
    "ImageMissingError",
    "LeaseExpiredError",
    "OutputFloodError",
    "SandboxClosedError",
    "SandboxDiedError",
    "SandboxError",
    "SpecRefusedError",
    "StartFailedError",
]


class SandboxError(Exception):
    """Base of everything that a backend raises.

    Attributes:
        sandbox: the sandbox's id, or `None` where none came to be.
    """

    def __init__(self, message: str, *, sandbox: str | None = None) -> None:
        super().__init__(message)
        self.sandbox = sandbox


class EngineUnavailableError(SandboxError):
    """No container engine answers."""


class EngineRestartedError(SandboxError):
    """The engine was restarted; the sandbox did not survive it. A new lease works."""


class SpecRefusedError(SandboxError):
    """The engine cannot give a defence or an option that the spec asks for, so nothing was started."""


class ImageMissingError(SandboxError):
    """The spec names an image that the engine does not have."""


class ImageBuildError(SandboxError):
    """An image of this project could not be built, or its base could not be had."""


class StartFailedError(SandboxError):
    """The container was created but could not be started, or ended before it could be used."""


class SandboxDiedError(SandboxError):
    """The container ended while it was in use.

    Attributes:
        exit_code: what the engine reports, `None` if it does not know.
        out_of_memory: whether the kernel killed it for its memory limit.
        stderr: the last output on standard error, at most a few KiB, control characters replaced.
    """

    def __init__(
        self,
        message: str,
        *,
        sandbox: str | None = None,
        exit_code: int | None = None,
        out_of_memory: bool = False,
        stderr: str = "",
    ) -> None:
        super().__init__(message, sandbox=sandbox)
        self.exit_code = exit_code
        self.out_of_memory = out_of_memory
        self.stderr = stderr


class OutputFloodError(SandboxError):
    """The program wrote a frame, or an amount since the last request, beyond its limit.

    Attributes:
        limit_bytes: the limit that was passed.
    """

    def __init__(self, message: str, *, sandbox: str | None = None, limit_bytes: int) -> None:
        super().__init__(message, sandbox=sandbox)
        self.limit_bytes = limit_bytes


class LeaseExpiredError(SandboxError):
    """The lease's time is over."""


class SandboxClosedError(SandboxError):
    """The sandbox was used after its lease had ended."""
