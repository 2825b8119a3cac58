"""Results of tools: MCP content blocks and structured content."""

from __future__ import annotations

from binascii import b2a_base64

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["ToolResult", "blob", "image", "text"]


def text(value: str) -> dict[str, Any]:
    """A block of text."""
    return {"type": "text", "text": value}


def image(data: bytes, mime_type: str) -> dict[str, Any]:
    """A picture that the model can look at."""
    return {"type": "image", "data": b2a_base64(data, newline=False).decode(), "mimeType": mime_type}


def blob(uri: str, data: bytes, mime_type: str) -> dict[str, Any]:
    """A binary file, embedded."""
    encoded = b2a_base64(data, newline=False).decode()
    return {"type": "resource", "resource": {"uri": uri, "mimeType": mime_type, "blob": encoded}}


class ToolResult:
    """What a tool answers.

    Attributes:
        content: MCP content blocks, for the model.
        structured: fits the tool's output schema, for programs; `None` with an error.
        is_error: whether the tool could not do what was asked.
    """

    __slots__ = ("content", "is_error", "structured")

    def __init__(
        self, content: list[dict[str, Any]], structured: dict[str, Any] | None = None, *, is_error: bool = False
    ) -> None:
        self.content = content
        self.structured = structured
        self.is_error = is_error

    def to_wire(self) -> dict[str, Any]:
        """The result of `tools/call`, without what the era adds."""
        wire: dict[str, Any] = {"content": self.content, "isError": self.is_error}
        if self.structured is not None:
            wire["structuredContent"] = self.structured
        return wire
