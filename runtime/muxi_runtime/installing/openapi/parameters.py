"""Parameters and bodies of operations, as arguments of tools and as where they go in a request."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any
from urllib.parse import quote

from muxi_runtime.installing.openapi.addresses import SAFE, checked_path
from muxi_runtime.installing.openapi.credentials import is_free_header
from muxi_runtime.installing.openapi.names import Names, argument_name, fits_the_wire
from muxi_runtime.installing.openapi.references import References
from muxi_runtime.installing.openapi.schemas import Schema, Simplifier

__all__ = ["Body", "LeftOutError", "Parameter", "path_parts", "read_body", "read_parameters"]

MAX_PARAMETERS = 60
MAX_GIVEN = 2 * MAX_PARAMETERS
"""An operation's own may replace all those of its path."""
MAX_KINDS = 40
"""Media types of a body that are looked at."""
MAX_PATH = 2000
PLACES = ("path", "query", "header")
STYLES = {
    "path": ("simple",),
    "query": ("form", "spaceDelimited", "pipeDelimited", "deepObject"),
    "header": ("simple",),
}
_TEMPLATE = re.compile(r"\{([^{}/]{1,200})\}")
_IGNORED = frozenset({"accept", "content-type", "authorization"})
"""The specification has such header parameters ignored."""
_JSON = re.compile(r"application/(?:[\w.+-]+\+)?json", re.ASCII)
_TEXT = re.compile(r"(?:text/[\w.+-]+|application/(?:[\w.+-]+\+)?xml|application/x-ndjson)", re.ASCII)


class LeftOutError(Exception):
    """An operation that no tool is made of; the text says why."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One argument that goes into the path, the query or a header. `as_json`: its value is sent as JSON."""

    argument: str
    name: str
    place: str
    style: str
    explode: bool
    required: bool
    as_json: bool
    schema: Schema

    def document(self) -> dict[str, Any]:
        """As the server reads it."""
        return {
            "argument": self.argument,
            "name": self.name,
            "in": self.place,
            "style": self.style,
            "explode": self.explode,
            "json": self.as_json,
        }


@dataclass(frozen=True, slots=True)
class Body:
    """What is sent after the head. `form`: `json`, `form`, `multipart` or `text`."""

    media_type: str
    form: str
    required: bool
    schema: Schema


def read_parameters(
    given: Sequence[object], references: References, simplifier: Simplifier, names: Names
) -> list[Parameter]:
    """Of one operation: its path's parameters, then its own, which replace those of the same name and place.

    Raises:
        ConfigError: a reference leads nowhere, or a name cannot be shown.
        LeftOutError: one that is required cannot be sent.
    """
    if len(given) > MAX_GIVEN:
        raise LeftOutError(f"it has more than {MAX_GIVEN} parameters, with those of its path")
    found: dict[tuple[str, str], Mapping[str, Any]] = {}
    for item in given:
        parameter = references.resolve(item)
        name, place = parameter.get("name"), parameter.get("in")
        if isinstance(name, str) and isinstance(place, str):
            found[name, place] = parameter
        elif parameter.get("required") is True:
            raise LeftOutError("a parameter that it requires has no name, or no place")
    if len(found) > MAX_PARAMETERS:
        raise LeftOutError(f"it has more than {MAX_PARAMETERS} parameters")
    made = [_parameter(parameter, references, simplifier, names) for parameter in found.values()]
    return [parameter for parameter in made if parameter is not None]


def path_parts(path: str, parameters: Sequence[Parameter]) -> list[str | dict[str, str]]:
    """The path as text to send, and between it the arguments that stand in it.

    Raises:
        LeftOutError: it is no path below a server, or has a name that no parameter has.
    """
    arguments = {parameter.name: parameter.argument for parameter in parameters if parameter.place == "path"}
    if len(path) > MAX_PATH:
        raise LeftOutError(f"its path has more than {MAX_PATH} characters")
    try:
        checked_path(_TEMPLATE.sub("x", path))
    except ValueError as error:
        raise LeftOutError(f"its path cannot be requested: {error}") from error
    parts: list[str | dict[str, str]] = []
    for number, part in enumerate(_TEMPLATE.split(path)):
        if number % 2 == 0:
            parts += [quote(part, safe=SAFE)] if part else []
        elif part not in arguments:
            raise LeftOutError(f"its path names {part[:60]!a}, which is no parameter of it")
        else:
            parts.append({"argument": arguments[part]})
    return parts


def read_body(given: object, references: References, simplifier: Simplifier) -> Body | None:
    """The body of an operation, in the first form of these: JSON, a form, a form of parts, text.

    Raises:
        ConfigError: a reference leads nowhere, or a name cannot be shown.
        LeftOutError: it needs one of another form.
    """
    if given is None:
        return None
    body = references.resolve(given)
    content = body.get("content")
    first = islice(content.items(), MAX_KINDS) if isinstance(content, Mapping) else ()
    kinds = {kind: media for kind, media in first if _is_media_type(kind)}
    required = body.get("required") is True
    for form in ("json", "form", "multipart", "text"):
        for kind, media in kinds.items():
            if _form_of(kind) == form:
                schema = simplifier.simplify(references.resolve(media).get("schema"), "request")
                return Body(kind.lower(), form, required, {"type": "string"} if form == "text" else schema)
    if required:
        raise LeftOutError(
            f"it wants a body of another kind: {', '.join(str(kind)[:40] for kind in kinds) or 'none is named'}"
        )
    return None


def _parameter(
    given: Mapping[str, Any], references: References, simplifier: Simplifier, names: Names
) -> Parameter | None:
    name, place, required = given.get("name"), given.get("in"), given.get("required") is True
    if place == "header" and isinstance(name, str) and name.lower() in _IGNORED:
        return None
    reason = _refusal(name, place, given.get("style"))
    if reason:
        if required:
            raise LeftOutError(reason)
        return None
    content = given.get("content")
    as_json = isinstance(content, Mapping)
    held = next(iter(content.values()), None) if isinstance(content, Mapping) else given
    schema = simplifier.simplify(references.resolve(held).get("schema"), "request")
    if given.get("description"):
        schema = {**schema, "description": _joined(given, schema)}
    style = str(given.get("style") or STYLES[str(place)][0])
    explode = given.get("explode")
    explodes = explode if isinstance(explode, bool) else style == "form"
    argument = names.unique(argument_name(str(name)))
    told = f"{place} {name}" if argument != name else str(place)
    schema["description"] = f"[{told}] {schema.get('description', '')}".rstrip()
    return Parameter(argument, str(name), str(place), style, explodes, required or place == "path", as_json, schema)


def _refusal(name: object, place: object, style: object) -> str:
    """Why a parameter is not sent; empty for one that is."""
    shown = f"{place} parameter {str(name)[:60]!a}"
    if place not in PLACES:
        return f"its {shown} stands in no place that is known"
    if place == "header" and not is_free_header(name):
        return f"its {shown} is a header that is not the document's to set"
    if not fits_the_wire(name):
        return f"its {shown} cannot be shown as it is"
    if style is not None and style not in STYLES[str(place)]:
        named = style[:40] if isinstance(style, str) else "that is no text"
        return f"its {shown} is written in the style {named!a}"
    return ""


def _joined(given: Mapping[str, Any], schema: Schema) -> str:
    from muxi_runtime.installing.openapi.names import shown  # noqa: PLC0415

    return " ".join(filter(None, (shown(given.get("description"), 240), schema.get("description", ""))))


def _is_media_type(kind: object) -> bool:
    return (
        isinstance(kind, str)
        and re.fullmatch(r"[\w.+-]{1,60}/[\w.+*-]{1,60}(?:; ?[\w.=+-]{1,60})?", kind, re.ASCII) is not None
    )


def _form_of(kind: str) -> str:
    bare = kind.partition(";")[0].lower().strip()
    if _JSON.fullmatch(bare) or bare == "*/*":
        return "json"
    if bare == "application/x-www-form-urlencoded":
        return "form"
    if bare == "multipart/form-data":
        return "multipart"
    return "text" if _TEXT.fullmatch(bare) else ""
