"""The runtime's own exceptions. Sandbox failures have their own tree in `muxi_sandbox.errors`.

    MuxiError
    ├── ConfigError        muxi.yaml, a manifest or a policy file cannot be used; names file, line and field
    ├── SetupError         a step of `up` failed; names the step and the cure
    ├── IdentityError      who calls cannot be told: no key, a wrong, revoked or expired one
    ├── RefusedError       a call that may not be made; carries what refused it and what would allow it
    │   ├── UnknownToolError
    │   ├── ToolBlockedError   its definition is not the one that a person accepted
    │   ├── UnknownTaskError
    │   ├── InvalidArgumentsError
    │   ├── ForbiddenError     the caller's role or scopes do not allow it
    │   ├── UnknownApprovalError
    │   └── DeniedError    policy said no, or nobody answered its question
    ├── ServerError        the server behind a tool failed (not the tool): silent, broke the protocol
    ├── ForwardedError     the server behind a tool answered with a protocol error of its own
    ├── JournalError       an event could not be made durable, or the chain is broken
    ├── LoginError         a login at a server elsewhere came to nothing
    ├── VaultError         a secret cannot be read or written
    │   └── UnknownSecretError
    └── NotRunningError    a command needs the running runtime

Two of the sandboxes' tree are here, since they are of no sandbox: `RemoteError`, a server over HTTP that is out of
reach, and its kind `LoginNeededError`, one that is there and wants a person to log in.

Messages are for the person who made the mistake: what happened, to which thing, and what to do next.
"""

from __future__ import annotations

from muxi_sandbox.errors import SandboxError


class MuxiError(Exception):
    """Base of everything the runtime raises on purpose.

    Attributes:
        remedy: what the reader can do about it, as a sentence or a command; may be empty.
    """

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy

    def __str__(self) -> str:
        message = super().__str__()
        return f"{message} {self.remedy}" if self.remedy else message


class ConfigError(MuxiError):
    """A file of the operator's cannot be used as it is."""


class SetupError(MuxiError):
    """A step of the set-up failed.

    Attributes:
        step: the step's name as the progress display shows it.
    """

    def __init__(self, message: str, *, step: str, remedy: str = "") -> None:
        super().__init__(message, remedy=remedy)
        self.step = step


class IdentityError(MuxiError):
    """The caller gave no usable key."""


class RefusedError(MuxiError):
    """A call that is not made, because of what the caller asked for."""


class UnknownToolError(RefusedError):
    """No such server, or no such tool on it."""


class ToolBlockedError(RefusedError):
    """The tool's definition is not the one that a person accepted."""


class UnknownTaskError(RefusedError):
    """No task of that name belongs to the caller."""


class UnknownApprovalError(RefusedError):
    """No such approval, or one that the caller may not see."""


class InvalidArgumentsError(RefusedError):
    """The arguments do not fit the tool's input schema or the gateway's limits."""


class ForbiddenError(RefusedError):
    """The caller's role, or the scopes of the key or token, do not allow it.

    Attributes:
        scope: the scope that is missing; empty where the role is what does not allow it.
    """

    def __init__(self, message: str, *, remedy: str = "", scope: str = "") -> None:
        super().__init__(message, remedy=remedy)
        self.scope = scope


class DeniedError(RefusedError):
    """Policy refused the call.

    Attributes:
        rule: the id of the rule that decided.
        approval: the id of the approval that was not given, where one was asked for.
        answered: whether a person has said no to it.
    """

    def __init__(
        self, message: str, *, rule: str, remedy: str = "", approval: str = "", answered: bool = False
    ) -> None:
        super().__init__(message, remedy=remedy)
        self.rule = rule
        self.answered = answered
        self.approval = approval


class ServerError(MuxiError):
    """The server behind the tool failed; the call may or may not have had effects."""


class ForwardedError(MuxiError):
    """A JSON-RPC error in the server's own words, on its way to the caller.

    Attributes:
        code: the JSON-RPC code.
        data: the error's data, JSON values or `None`.
    """

    def __init__(self, message: str, *, code: int, data: object = None) -> None:
        super().__init__(message)
        self.code = code
        self.data = data


class RemoteError(SandboxError):
    """A server that runs elsewhere cannot be reached any more: to what speaks with it, the end of its sandbox."""


class LoginNeededError(RemoteError):
    """A server elsewhere takes nothing from this user before a login, or before a new one.

    Attributes:
        server: its name.
        command: what has to be run.
        scopes: what the login has to be good for besides.
    """

    def __init__(self, message: str, *, server: str, command: str, scopes: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.server = server
        self.command = command
        self.scopes = scopes


class LoginError(MuxiError):
    """A login at a server elsewhere came to nothing, or its tokens are taken no more."""


class JournalError(MuxiError):
    """The journal could not keep its promise."""


class VaultError(MuxiError):
    """A secret cannot be read or written."""


class UnknownSecretError(VaultError):
    """No value was set for it."""


class NotRunningError(MuxiError):
    """The runtime does not answer."""


def sole_error(group: BaseExceptionGroup[BaseException]) -> Exception | None:
    """The one error of ours that a group wraps, or `None` if it holds anything else.

    Task groups wrap what passes through them; a caller wants the error itself.
    """
    known, other = group.split((MuxiError, SandboxError))
    if known is None or other is not None:
        return None
    error: BaseException = known
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error if isinstance(error, Exception) else None
