"""Answers of hosts as results: bounded, JSON taken apart, headers that say something."""

from __future__ import annotations

import json
from math import isfinite

from muxi_servers.http.credentials import mask, secret_names
from muxi_servers.kit.client.charsets import text_encoding
from muxi_servers.kit.content import ToolResult, image, text
from muxi_servers.kit.pictures import image_type

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

    from muxi_servers.http.credentials import Credentials
    from muxi_servers.kit.client.exchange import Answer, Request

__all__ = ["advice", "shown_headers", "to_result"]

_HEADERS = frozenset(
    (
        *("content-type", "content-length", "content-disposition", "content-language", "content-range", "date", "etag"),
        *("last-modified", "location", "link", "retry-after", "allow", "cache-control", "expires", "www-authenticate"),
        *("x-request-id", "deprecation", "sunset", "server-timing", "x-total-count", "x-next-page", "x-page"),
    )
)
_PREFIXES = ("x-ratelimit-", "ratelimit", "x-rate-limit-", "x-pagination-")
_MAX_VALUE = 1_000
_MAX_DEPTH = 40


def shown_headers(answer: Answer) -> dict[str, str]:
    """Those that tell a caller something; no cookies."""
    return {
        name: mask(value[:_MAX_VALUE])
        for name, value in answer.headers.items()
        if name in _HEADERS or name.startswith(_PREFIXES)
    }


def to_result(request: Request, answer: Answer, credentials: Credentials) -> ToolResult:
    """What the tools `get` and `send` answer. A status of an error is a result like any other, marked as one."""
    found = image_type(answer.body)
    body = "" if found else _decoded(answer)
    value, is_json = _parsed(answer, body)
    told = {
        "url": mask(str(request.url)),
        "status": answer.status,
        "reason": answer.reason,
        "headers": shown_headers(answer),
        "media_type": answer.media_type,
        "json": value,
        "text": None if is_json or found else body,
        "size_bytes": answer.size,
        "complete": answer.is_whole,
    }
    head = f"[{request.method} {told['url']}: {answer.status} {answer.reason}, {answer.size} bytes]"
    cut = "" if answer.is_whole else "[it goes on: raise max_bytes, or use download]"
    parts = [head, advice(answer, credentials), body, cut]
    content = [text("\n".join(part for part in parts if part))]
    if found:
        content.append(image(answer.body, found))
    return ToolResult(content, told, is_error=answer.status >= 400)  # noqa: PLR2004 - errors from here on


def advice(answer: Answer, credentials: Credentials) -> str:
    """What to do about a status; empty where it speaks for itself."""
    location = answer.headers.get("location", "")[:_MAX_VALUE]
    if 300 <= answer.status < 400 and location:  # noqa: PLR2004 - redirects
        return f"[It redirects to {mask(location)}, which was not followed: ask for that if it is what you want.]"
    if answer.status in {401, 403}:
        if credentials.words:
            return f"[It does not accept the {credentials.words}, or does not let it do this.]"
        names = ", ".join(secret_names())
        return f"[It may want a secret: name one in auth. This server has: {names or 'none'}.]"
    if answer.status == 429:  # noqa: PLR2004 - too many requests
        retry = answer.headers.get("retry-after", "")[:60]
        return f"[It was asked too often: ask again {f'after {retry} (seconds, or a date)' if retry else 'later'}.]"
    return ""


def _decoded(answer: Answer) -> str:
    if b"\0" in answer.body:
        return f"[{len(answer.body)} bytes of {answer.media_type or 'no type'}, which are no text: use download]"
    return mask(answer.body.decode(text_encoding(answer.parameter("charset")) or "utf-8", "replace"))


def _parsed(answer: Answer, body: str) -> tuple[Any, bool]:
    """(the value, whether it is one) of JSON that is whole and not nested too deep."""
    is_json = answer.media_type == "application/json" or answer.media_type.endswith("+json")
    if not (is_json and answer.is_whole and body):
        return None, False
    try:
        value = json.loads(body, parse_constant=_refuse, parse_float=_finite)
    except (ValueError, RecursionError):
        return None, False
    return (value, True) if _is_shallow(value) else (None, False)


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _finite(digits: str) -> float:
    """As Python reads it; a result with an infinity in it would be no JSON."""
    value = float(digits)
    return value if isfinite(value) else _refuse(digits[:40])


def _is_shallow(value: object) -> bool:
    level = [value]
    for _ in range(_MAX_DEPTH):
        nested = [one for one in level if isinstance(one, dict | list)]
        if not nested:
            return True
        level = [below for one in nested for below in (one.values() if isinstance(one, dict) else one)]
    return False
