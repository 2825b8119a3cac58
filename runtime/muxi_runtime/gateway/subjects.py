"""What a call beside tools is about: a resource or a prompt, in the door's words, the policy's and the wire's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from muxi_runtime.policy.contract import Access

if TYPE_CHECKING:
    from collections.abc import Mapping

    from muxi_runtime.gateway.caller import CallRequest
    from muxi_runtime.identity.principal import Principal

__all__ = ["Subject", "access_of", "params_of", "subject_of"]


@dataclass(frozen=True, slots=True)
class Subject:
    """One resource or prompt of one server.

    Attributes:
        name: the URI, or the prompt's own name.
        pin: stands for it in an approval: such things are not pinned, so it is but their name.
    """

    server: str
    kind: Literal["resource", "prompt"]
    name: str

    @property
    def full_name(self) -> str:
        """As people are told."""
        return f"the {self.kind} {self.name} of {self.server}"

    @property
    def pin(self) -> str:
        """See the class."""
        return f"{self.kind} {self.server} {self.name}"

    def check(self, arguments: Mapping[str, Any]) -> None:
        """Arguments of a prompt have no schema: the server looks at them."""


def subject_of(request: CallRequest) -> Subject:
    """What the request is about."""
    return Subject(request.server, _kind(request), request.tool)


def _kind(request: CallRequest) -> Literal["resource", "prompt"]:
    if request.method == "completion/complete":
        ref = request.params.get("ref")
        return "prompt" if isinstance(ref, dict) and ref.get("type") == "ref/prompt" else "resource"
    return "prompt" if request.method == "prompts/get" else "resource"


def access_of(request: CallRequest, principal: Principal, task: str, *, built_in: bool) -> Access:
    """What the policy is asked."""
    return Access(
        principal=principal,
        server=request.server,
        kind=_kind(request),
        name=request.tool,
        task=task,
        arguments=request.arguments,
        built_in=built_in,
    )


def params_of(request: CallRequest) -> dict[str, Any]:
    """What the server is sent."""
    if request.method == "tools/call":
        return {"name": request.tool, "arguments": request.arguments}
    if request.method == "prompts/get":
        return {"name": request.tool, "arguments": request.arguments}
    return dict(request.params)
