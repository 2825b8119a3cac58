"""Answers of the API, as results: what fits its document as data, everything else as text, errors in its own words."""

from __future__ import annotations

from muxi_servers.kit.codec import decode
from muxi_servers.kit.content import ToolResult, blob, text
from muxi_servers.kit.errors import FrameError
from muxi_servers.kit.schema import find_error
from muxi_servers.kit.tools import object_schema

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from muxi_servers.kit.client.exchange import Answer
    from muxi_servers.openapi.request import Request

__all__ = ["MAX_TEXT", "Reply", "failure", "output_schema"]

MAX_TEXT = 100_000
MAX_DATA_BYTES = 2**20
MAX_BLOB_BYTES = 2**20
MAX_PROBLEM = 2_000
FIRST_FAILURE = 300
_PROBLEM_FIELDS = ("title", "detail", "message", "error_description", "error", "errors", "code", "reason")


def output_schema(answer: dict[str, Any]) -> dict[str, Any]:
    """What every operation returns; `answer` is the document's schema of the body."""
    return object_schema(
        {
            "status": {"type": "integer", "description": "of HTTP"},
            "media_type": {"type": "string"},
            "data": {**answer, "description": "the body, where it is JSON that fits the API's document; else null"},
            "text": {
                "type": ["string", "null"],
                "description": f"any other body that is text, {MAX_TEXT} characters of it",
            },
            "truncated": {"type": "boolean", "description": "whether the text goes on after what was returned"},
            "pages": {"type": "integer", "description": "how many were put together"},
            "more": {"type": "boolean", "description": "whether there is a next page"},
            "note": {"type": "string", "description": "what is to be said of it; may be empty"},
        }
    )


class Reply:
    """One answer that is a success, on its way to a result.

    Attributes:
        data: the body as JSON; `None` where it is none.
        pages: how many answers are in it.
    """

    def __init__(self, answer: Answer, schema: dict[str, Any]) -> None:
        self._answer = answer
        self._schema = schema
        self.data: Any = _json(answer)
        self.pages = 1
        self.more = False
        self.notes: list[str] = []

    def result(self, request: Request) -> ToolResult:
        """For the caller."""
        answer = self._answer
        written, cut = self._text()
        error = find_error(self.data, self._schema, "the body") if self.data is not None else None
        if error:
            self.notes.append(f"the answer is not as the API's document has it: {error}")
        fits = self.data is not None and not error
        structured = {
            "status": answer.status,
            "media_type": answer.media_type,
            "data": self.data if fits else None,
            "text": None if fits else written,
            "truncated": cut and not fits,
            "pages": self.pages,
            "more": self.more,
            "note": "; ".join(self.notes),
        }
        blocks = [text(written)] if written else []
        if written is None and answer.is_whole and 0 < len(answer.body) <= MAX_BLOB_BYTES:
            blocks.append(
                blob(f"{request.place.origin}{request.place.target.partition('?')[0]}", answer.body, answer.media_type)
            )
        blocks.append(text(f"[{self._line(written)}]"))
        return ToolResult(blocks, structured)

    def _text(self) -> tuple[str | None, bool]:
        """The body to be read, and whether it is cut; `None` for one that is no text."""
        answer = self._answer
        if self.pages > 1:
            from muxi_servers.kit.codec import encode  # noqa: PLC0415 - only where pages were put together

            whole = encode(self.data).decode()
        elif _is_text(answer):
            whole = answer.body.decode("utf-8", "replace")
        else:
            return None, not answer.is_whole
        return whole[:MAX_TEXT], len(whole) > MAX_TEXT or not answer.is_whole

    def _line(self, written: str | None) -> str:
        answer = self._answer
        said = [f"{answer.status} {answer.reason}".strip()]
        if written is None and answer.body:
            said.append(f"{len(answer.body)} bytes of {answer.media_type or 'an unnamed kind'}")
        if written is not None and (len(answer.body) > MAX_TEXT or not answer.is_whole):
            said.append(f"cut after {MAX_TEXT} characters: ask for less")
        if self.pages > 1:
            said.append(f"{self.pages} pages")
        if self.more:
            said.append("there are more pages")
        return "; ".join([*said, *self.notes])


def failure(answer: Answer, request: Request) -> ToolResult:
    """A status that says no: with the API's own words about it (RFC 9457 and the usual fields)."""
    place = f"{request.place.origin}{request.place.target.partition('?')[0]}"
    said = [f"{f'{request.method} {place} answered {answer.status} {answer.reason}'.strip()}."]
    location = answer.headers.get("location")
    if location:
        said.append(f"It names another place, which is not followed: {_shortened(location, FIRST_FAILURE)}")
    if "retry-after" in answer.headers:
        said.append(f"Wait before the next call (Retry-After: {_shortened(answer.headers['retry-after'], 40)}).")
    problem = _problem(answer)
    return ToolResult([text(" ".join([*said, *([problem] if problem else [])]))], is_error=True)


def _problem(answer: Answer) -> str:
    value = _json(answer)
    if isinstance(value, dict):
        told = [f"{name}: {_plain(value[name])}" for name in _PROBLEM_FIELDS if value.get(name)]
        if told:
            return _shortened("; ".join(told), MAX_PROBLEM)
    return _shortened(answer.body.decode("utf-8", "replace"), MAX_PROBLEM) if _is_text(answer) else ""


def _plain(value: object) -> str:
    if isinstance(value, str):
        return value
    from muxi_servers.kit.codec import encode  # noqa: PLC0415 - only of errors

    return encode(value).decode()


def _shortened(value: str, longest: int) -> str:
    line = " ".join(value.split())
    return line if len(line) <= longest else f"{line[: longest - 3]}..."


def _json(answer: Answer) -> Any:  # noqa: ANN401 - any JSON value
    kind = answer.media_type
    if (
        not answer.is_whole
        or len(answer.body) > MAX_DATA_BYTES
        or not (kind.endswith(("/json", "+json")) or kind == "")
    ):
        return None
    try:
        return decode(answer.body) if answer.body.strip() else None
    except FrameError:
        return None


def _is_text(answer: Answer) -> bool:
    kind = answer.media_type
    named = kind.startswith("text/") or kind.endswith(("/json", "+json", "/xml", "+xml", "/javascript", "/x-ndjson"))
    return named or (kind in {"", "application/x-www-form-urlencoded"} and b"\0" not in answer.body[:4096])
