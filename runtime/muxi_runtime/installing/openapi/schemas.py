"""Schemas of a document, made into the part of JSON Schema that the server checks: bounded, without references.

What cannot be said in that part is left out, so that a schema here permits more than the document's: the API has the
last word on its own arguments. (A field that only some of several choices name is as those have it.) A `pattern` is
told in the description and never evaluated.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from muxi_runtime.errors import ConfigError
from muxi_runtime.installing.openapi.names import fits_the_wire, shown
from muxi_runtime.installing.openapi.references import REF, References

__all__ = ["CHOOSE", "Schema", "Side", "Simplifier", "with_null"]

Schema = dict[str, Any]
Side = Literal["request", "response"]

MAX_DEPTH = 8
MAX_NODES = 600
"""Of one schema; beyond it the parts say nothing."""
MAX_NODES_IN_ALL = 200_000
MAX_WORK = 3_000_000
"""Fields, choices and requirements looked at in all, each time anew: some seconds."""
MAX_PROPERTIES = 150
CHOOSE = "Choose some: --operation takes a pattern of an operation's name, of `GET /path*`, or of a tag."
MAX_ENUM = 100
MAX_ENUM_LETTERS = 4 * 2**20
"""Of all values of all schemas, each time anew: what all tools together may take."""
MAX_COMPARED = 200
"""Values of a schema that is compared with another."""
MAX_TEXT = 240
TYPES = ("object", "array", "string", "integer", "number", "boolean", "null")
_LENGTHS = ("minLength", "maxLength", "minItems", "maxItems")
_TOLD = ("format", "pattern", "default", "example")
_SCALAR = (str, int, float, bool)


@dataclass(slots=True)
class _Walk:
    """One schema on its way: which side of a request it is for, and how many parts it may still have."""

    side: Side
    nodes: int


class Simplifier:
    """For one document; counts what all its schemas together have."""

    def __init__(self, references: References) -> None:
        self._references = references
        self._left = MAX_NODES_IN_ALL
        self._work = MAX_WORK
        self._letters = MAX_ENUM_LETTERS

    def simplify(self, schema: object, side: Side) -> Schema:
        """The same in words that the kit checks; empty, which permits anything, for what cannot be said.

        Raises:
            ConfigError: a reference leads nowhere.
        """
        walk = _Walk(side, min(MAX_NODES, self._left))
        before = walk.nodes
        made = self._at(schema, walk, 0, frozenset())
        self._left -= before - walk.nodes
        return made

    def _at(self, schema: object, walk: _Walk, depth: int, seen: frozenset[str]) -> Schema:
        walk.nodes -= 1
        if walk.nodes < 0 or depth > MAX_DEPTH:
            return {}
        flat, seen = self._flat(schema, seen, depth)
        choices = flat.get("oneOf") or flat.get("anyOf")
        if isinstance(choices, list) and choices:
            flat, seen = self._joined(flat, choices, seen, depth)
        self._charge_enum(flat.get("enum"))
        made = _scalar_words(flat)
        kinds = made.get("type", ())
        kinds = (kinds,) if isinstance(kinds, str) else kinds
        if "object" in kinds:
            made |= self._object(flat, walk, depth, seen)
        if "array" in kinds and "items" in flat:
            items = self._at(flat["items"], walk, depth + 1, seen)
            made |= {"items": items} if items else {}
        return made

    def _flat(self, schema: object, seen: frozenset[str], depth: int) -> tuple[dict[str, Any], frozenset[str]]:
        """With references followed and `allOf` put together; a reference to what holds it is empty."""
        self._charge(schema)
        own: dict[str, Any] = {}
        while isinstance(schema, Mapping) and isinstance(schema.get(REF), str):
            pointer: str = schema[REF]
            own = {**{word: value for word, value in schema.items() if word != REF}, **own}
            if pointer in seen or len(seen) > MAX_DEPTH * 4:
                return {"description": "As the object that it is in."}, seen
            seen |= {pointer}
            schema = self._references.target(pointer)
            self._charge(schema)
        whole = {**schema, **own} if isinstance(schema, Mapping) else own
        parts = whole.pop("allOf", None)
        if not isinstance(parts, list) or depth > MAX_DEPTH:
            return whole, seen
        for part in parts[:MAX_PROPERTIES]:
            flat, seen = self._flat(part, seen, depth + 1)
            whole = _together(whole, flat)
        return whole, seen

    def _charge(self, schema: object) -> None:
        if isinstance(schema, Mapping):
            held = [schema, *(schema.get(word) for word in ("properties", "required", "allOf", "oneOf", "anyOf"))]
            self._spend(sum(len(part) for part in held if isinstance(part, Mapping | list)))

    def _spend(self, work: int) -> None:
        self._work -= work
        if self._work < 0:
            raise _too_large()

    def _charge_enum(self, enum: object) -> None:
        """Before its values are looked at: each schema that refers to it has them anew."""
        if isinstance(enum, list) and len(enum) <= MAX_ENUM:
            self._letters -= sum(len(value) if isinstance(value, str) else 1 for value in enum)
        if self._letters < 0:
            raise _too_large()

    def _joined(
        self, whole: Mapping[str, Any], choices: Sequence[object], seen: frozenset[str], depth: int
    ) -> tuple[dict[str, Any], frozenset[str]]:
        """One schema that permits what any of the choices does."""
        around = {word: value for word, value in whole.items() if word not in {"oneOf", "anyOf"}}
        flats = [self._flat(choice, seen, depth + 1) for choice in choices[:MAX_ENUM]]
        seen = seen.union(*(more for _, more in flats))
        found = [flat for flat, _ in flats]
        kinds = [kind for flat in found for kind in _types(flat)]
        if not all(map(_types, found)) or any("oneOf" in flat or "anyOf" in flat for flat in found):
            return {word: around[word] for word in ("title", "description") if word in around}, seen
        joined: dict[str, Any] = {"type": list(dict.fromkeys(kinds))}
        objects = [flat for flat in found if "object" in _types(flat)]
        if objects:
            joined |= _either(objects, self._spend)
        arrays = [flat for flat in found if "array" in _types(flat)]
        if len(arrays) == 1 and "items" in arrays[0]:
            joined["items"] = arrays[0]["items"]
        if all(isinstance(flat.get("enum"), list) or _types(flat) == ["null"] for flat in found):
            enums = [flat["enum"] if isinstance(flat.get("enum"), list) else [None] for flat in found]
            if sum(map(len, enums)) <= MAX_ENUM:
                joined["enum"] = [value for enum in enums for value in enum]
        return _together(around, joined), seen

    def _object(self, flat: Mapping[str, Any], walk: _Walk, depth: int, seen: frozenset[str]) -> Schema:
        given = flat.get("properties")
        given = given if isinstance(given, Mapping) else {}
        hidden = "readOnly" if walk.side == "request" else "writeOnly"
        made: dict[str, Schema] = {}
        for name, part in list(given.items())[:MAX_PROPERTIES]:
            if not fits_the_wire(name):
                raise ConfigError(f"a field is called {name[:60]!a}, which cannot be shown as it is")
            if not self._has(part, hidden):
                made[name] = self._at(part, walk, depth + 1, seen)
        words: Schema = {"properties": made} if made else {}
        required = [name for name in _texts(flat.get("required")) if name in made]
        words |= {"required": required} if required else {}
        more = flat.get("additionalProperties")
        if more is False and len(given) <= MAX_PROPERTIES:
            words["additionalProperties"] = False
        elif isinstance(more, Mapping) and (below := self._at(more, walk, depth + 1, seen)):
            words["additionalProperties"] = below
        return words

    def _has(self, part: object, word: str) -> bool:
        return self._references.resolve(part).get(word) is True


def with_null(schema: Schema) -> Schema:
    """The same, or null."""
    made = dict(schema)
    if "type" in made:
        kinds = [made["type"]] if isinstance(made["type"], str) else list(made["type"])
        made["type"] = list(dict.fromkeys([*kinds, "null"]))
    if "enum" in made and None not in made["enum"]:
        made["enum"] = [*made["enum"], None]
    return made


def _types(schema: Mapping[str, Any]) -> list[str]:
    """The types that a schema names or means, in no other words; empty for any."""
    given = schema.get("type")
    kinds = [given] if isinstance(given, str) else _texts(given)
    if not kinds and isinstance(schema.get("properties"), Mapping):
        kinds = ["object"]
    elif not kinds and "items" in schema:
        kinds = ["array"]
    if any(kind not in TYPES for kind in kinds):
        return []
    return list(dict.fromkeys([*kinds, *(["null"] if kinds and schema.get("nullable") is True else [])]))


def _scalar_words(flat: Mapping[str, Any]) -> Schema:
    kinds = _types(flat)
    made: Schema = {"type": kinds[0] if len(kinds) == 1 else kinds} if kinds else {}
    enum = [flat["const"]] if "const" in flat else flat.get("enum")
    if isinstance(enum, list) and 0 < len(enum) <= MAX_ENUM and all(_short(value) for value in enum):
        made["enum"] = [*enum, *([None] if "null" in kinds and None not in enum else [])]
    for word in _LENGTHS:
        value = flat.get(word)
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31:
            made[word] = value
    for word, exclusive in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        for value in (flat.get(word), flat.get(exclusive)):
            if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 2**63:
                made[word] = value
    text = _description(flat)
    return {**made, "description": text} if text else made


def _description(flat: Mapping[str, Any]) -> str:
    told = [shown(flat.get("description") or flat.get("title"), MAX_TEXT)]
    for word in _TOLD:
        value = flat.get(word)
        if isinstance(value, _SCALAR) and str(value):
            told.append(f"({word}: {shown(str(value), 80)})")
    return " ".join(filter(None, told))


def _short(value: object) -> bool:
    if isinstance(value, str):
        return value == "" or fits_the_wire(value)
    if isinstance(value, int):
        return abs(value) < 2**63
    return value is None or (isinstance(value, float) and math.isfinite(value))


def _together(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Both at once (`allOf`); of what both say in different words, the first's."""
    made = {**other, **one}
    fields = [part["properties"] for part in (other, one) if isinstance(part.get("properties"), Mapping)]
    if fields:
        made["properties"] = {name: part for held in fields for name, part in held.items()}
    required = [*_texts(one.get("required")), *_texts(other.get("required"))]
    if required:
        made["required"] = list(dict.fromkeys(required))
    return made


def _either(objects: Sequence[Mapping[str, Any]], spend: Callable[[int], None]) -> dict[str, Any]:
    """The fields of any; required is what all of them require, and what they describe differently may be anything."""
    fields: dict[str, Any] = {}
    for held in objects:
        given = held.get("properties")
        for name, part in given.items() if isinstance(given, Mapping) else ():
            fields[name] = part if _alike(fields.get(name, part), part, spend) else {}
    required = set(_texts(objects[0].get("required"))).intersection(*(_texts(o.get("required")) for o in objects[1:]))
    return {"properties": fields, "required": sorted(required)}


def _alike(one: object, other: object, spend: Callable[[int], None]) -> bool:
    """Whether both say the same. Large ones do only where they are one: comparing takes as long as they are."""
    if one is other:
        return True
    left, count = [one], 0
    while left and count <= MAX_COMPARED:
        value = left.pop()
        below = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else ()
        count += 1 + len(below)
        left += below if count <= MAX_COMPARED else ()
    spend(count // 10)
    return count <= MAX_COMPARED and one == other


def _too_large() -> ConfigError:
    return ConfigError("The schemas of the document are too large or too entangled to be read.", remedy=CHOOSE)


def _texts(value: object) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []
