"""Checked arguments to one request. Nothing of an argument can leave its place: each is encoded for where it stands."""

from __future__ import annotations

from urllib.parse import quote, urlsplit

from muxi_servers.kit.client.urls import Url
from muxi_servers.kit.codec import encode
from muxi_servers.kit.errors import ToolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from muxi_servers.openapi.document import Operation

__all__ = ["Request", "make_request"]

MAX_TARGET = 16_000
"""Characters of path and query; servers take half of that or less."""
MAX_HEADER = 4_000
MAX_BODY_BYTES = 4 * 2**20
BOUNDARY = "muxi-runtime-part"
USER_AGENT = "muxi-runtime"


class Request:
    """What is sent.

    Attributes:
        place: where to; its `target` is path and query, percent-encoded.
        headers: but for `Host` and `Content-Length`, which whoever sends it writes.
    """

    def __init__(self, method: str, place: Url, headers: list[tuple[str, str]], body: bytes | None) -> None:
        self.method = method
        self.place = place
        self.headers = headers
        self.body = body

    def to(self, target: str) -> Request:
        """The same to another place of the same host, without a body."""
        place = Url(self.place.scheme, self.place.host, self.place.port, target)
        return Request(self.method, place, self.headers, None)


def make_request(operation: Operation, arguments: Mapping[str, Any], secrets: Mapping[str, str]) -> Request:
    """The request for arguments that fit the operation's schema. `secrets`: placeholders by name.

    Raises:
        ToolError: an argument cannot be sent where it goes, or a credential is missing.
    """
    credentials = list(_credentials(operation, secrets))
    query = [*_query(operation, arguments), *((name, value) for place, name, value in credentials if place == "query")]
    target = _path(operation, arguments)
    if query:
        target += "?" + "&".join(f"{_quoted(name)}={_quoted(value)}" for name, value in query)
    if len(target) > MAX_TARGET:
        raise ToolError(
            f"The address would have {len(target)} characters, and {MAX_TARGET} at most are sent: pass less."
        )
    headers = [("User-Agent", USER_AGENT), ("Accept", "application/json, */*;q=0.5"), ("Accept-Encoding", "identity")]
    headers += _headers(operation, arguments)
    headers += [(name, value) for place, name, value in credentials if place == "header"]
    cookies = "; ".join(f"{name}={value}" for place, name, value in credentials if place == "cookie")
    headers += [("Cookie", cookies)] if cookies else []
    body = None
    if operation.body is not None and "body" in arguments:
        kind, body = _body(operation.body, arguments["body"])
        headers.append(("Content-Type", kind))
    return Request(operation.method, _place(operation.base, target), headers, body)


def _place(base: str, target: str) -> Url:
    parts = urlsplit(base)
    return Url(parts.scheme, parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80), target)


def _credentials(operation: Operation, secrets: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    for credential in operation.credentials:
        name = credential["secret"]
        value = secrets.get(name)
        if value is None and operation.optional:
            continue
        if value is None:
            raise ToolError(
                f"The API wants a credential, and this server was given no secret {name}. An operator can give it: "
                f"profile.secrets.{name} in the server's manifest."
            )
        if credential["form"] == "bearer":
            value = f"Bearer {value}"
        elif credential["form"] == "basic":
            from binascii import b2a_base64  # noqa: PLC0415 - only where it is used

            value = f"Basic {b2a_base64(value.encode(), newline=False).decode()}"
        yield credential["in"], credential["name"], value


def _path(operation: Operation, arguments: Mapping[str, Any]) -> str:
    styles = {parameter["argument"]: parameter for parameter in operation.parameters if parameter["in"] == "path"}
    made = urlsplit(operation.base).path
    for part in operation.path:
        if isinstance(part, str):
            made += part
            continue
        name = part["argument"]
        value = _simple(styles[name], arguments[name])
        if not value:
            raise ToolError(f"{name} is empty, and the path needs it: pass a value.")
        made += _quoted(value)
    if any(part in {".", ".."} for part in made.split("/")):
        raise ToolError("A part of the path would be . or .., which leads elsewhere: pass another value.")
    return made or "/"


def _query(operation: Operation, arguments: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for parameter in operation.parameters:
        if parameter["in"] != "query" or parameter["argument"] not in arguments:
            continue
        name, value = parameter["name"], arguments[parameter["argument"]]
        if parameter["json"]:
            yield name, encode(value).decode()
        elif isinstance(value, list):
            yield from _query_list(parameter, name, value)
        elif isinstance(value, dict):
            yield from _query_object(parameter, name, value)
        else:
            yield name, _text(value)


def _query_list(parameter: dict[str, Any], name: str, value: list[Any]) -> Iterator[tuple[str, str]]:
    if parameter["explode"]:
        yield from ((name, _text(item)) for item in value)
    elif value:
        between = {"spaceDelimited": " ", "pipeDelimited": "|"}.get(parameter["style"], ",")
        yield name, between.join(map(_text, value))


def _query_object(parameter: dict[str, Any], name: str, value: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if parameter["style"] == "deepObject":
        yield from ((f"{name}[{key}]", _text(item)) for key, item in value.items())
    elif parameter["explode"]:
        yield from ((key, _text(item)) for key, item in value.items())
    elif value:
        yield name, ",".join(_text(part) for pair in value.items() for part in pair)


def _headers(operation: Operation, arguments: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for parameter in operation.parameters:
        if parameter["in"] != "header" or parameter["argument"] not in arguments:
            continue
        value = _simple(parameter, arguments[parameter["argument"]])
        if not value.isascii() or not value.isprintable() or len(value) > MAX_HEADER:
            raise ToolError(
                f"{parameter['argument']} goes into a header, which takes printable ASCII on one line, {MAX_HEADER} "
                "characters at most: pass such a value."
            )
        yield parameter["name"], value.strip(" ")


def _body(wanted: Mapping[str, str], value: object) -> tuple[str, bytes]:
    """The media type to name, and the bytes."""
    kind, form = wanted["type"], wanted["form"]
    kind = "application/json" if form == "json" and "*" in kind else kind
    if form == "json":
        data = encode(value)
    elif form == "text":
        kind, data = f"{kind.partition(';')[0]}; charset=utf-8", _text(value).encode("utf-8", "replace")
    elif not isinstance(value, dict):
        raise ToolError("The body is a form: pass an object, a field for each name.")
    elif form == "form":
        data = "&".join(f"{_quoted(name)}={_quoted(text)}" for name, text in _fields(value)).encode()
    else:
        kind, data = f"{kind.partition(';')[0]}; boundary={BOUNDARY}", _multipart(value)
    if len(data) > MAX_BODY_BYTES:
        raise ToolError(f"The body has {len(data)} bytes, and {MAX_BODY_BYTES} at most are sent: pass less.")
    return kind, data


def _fields(value: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, item in value.items():
        for one in item if isinstance(item, list) else [item]:
            yield name, _text(one)


def _multipart(value: Mapping[str, Any]) -> bytes:
    parts = []
    for name, text in _fields(value):
        if BOUNDARY in text:
            raise ToolError(f"The field {name[:60]} holds {BOUNDARY!r}, which parts the fields: pass another value.")
        parts.append(f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{_quoted(name)}"\r\n\r\n{text}\r\n')
    return "".join([*parts, f"--{BOUNDARY}--\r\n"]).encode("utf-8", "replace")


def _simple(parameter: Mapping[str, Any], value: object) -> str:
    """The style `simple`: commas between items, and between names and values of fields."""
    if parameter["json"]:
        return encode(value).decode()
    if isinstance(value, list):
        return ",".join(map(_text, value))
    if isinstance(value, dict):
        between = "=" if parameter["explode"] else ","
        return ",".join(f"{key}{between}{_text(item)}" for key, item in value.items())
    return _text(value)


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    return encode(value).decode()


def _quoted(text: str) -> str:
    return quote(text, safe="", errors="replace")
