"""Checks values against the subset of JSON Schema that the built-in tools use.

Known words: type, properties, required, additionalProperties (false or a schema), items, minItems, maxItems, enum,
minimum, maximum, minLength, maxLength, and the annotations title, description and default. A schema with any other word
is refused when its tool is declared, so that no rule is silently left unchecked.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Schema = dict[str, Any]

__all__ = ["find_error", "find_unknown_word", "with_defaults"]

_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}
_WORDS = frozenset(
    (
        *("type", "properties", "required", "additionalProperties", "items", "minItems", "maxItems", "enum"),
        *("minimum", "maximum", "minLength", "maxLength", "title", "description", "default"),
    )
)
_SHOWN_CHARACTERS = 60


def find_unknown_word(schema: Schema, at: str = "schema") -> str | None:
    """The first word of a schema that `find_error` would not check, with its place; `None` if there is none."""
    for word in schema:
        if word not in _WORDS:
            return f"{at}: {word}"
    below = [(f"{at}.{name}", part) for name, part in schema.get("properties", {}).items()]
    below += [(f"{at}.{word}", schema[word]) for word in ("items", "additionalProperties") if schema.get(word)]
    for place, part in below:
        found = find_unknown_word(part, place)
        if found:
            return found
    return None


def find_error(value: object, schema: Schema, at: str = "") -> str | None:
    """What is wrong with a value, as a sentence about the field at fault; `None` if it fits."""
    name = at or "the arguments"
    if "type" in schema and not _has_type(value, schema["type"]):
        return f"{name} must be {_say_type(schema['type'])}, not {_say_value(value)}"
    if "enum" in schema and value not in schema["enum"]:
        return f"{name} must be one of {', '.join(map(str, schema['enum']))}, not {_say_value(value)}"
    if isinstance(value, dict):
        return _object_error(value, schema, at)
    if isinstance(value, list):
        return _array_error(value, schema, name)
    return _scalar_error(value, schema, name)


def with_defaults(arguments: dict[str, Any], schema: Schema) -> dict[str, Any]:
    """The arguments, each property that is left out taking its `default` where the schema gives one."""
    defaults = {
        name: part["default"]
        for name, part in schema.get("properties", {}).items()
        if "default" in part and name not in arguments
    }
    return {**defaults, **arguments}


def _has_type(value: object, wanted: str | list[str]) -> bool:
    names = [wanted] if isinstance(wanted, str) else wanted
    if isinstance(value, bool):
        return "boolean" in names
    if isinstance(value, float) and value.is_integer() and "integer" in names:
        return True
    return any(isinstance(value, _TYPES[name]) for name in names)


def _object_error(value: dict[str, object], schema: Schema, at: str) -> str | None:
    properties: dict[str, Schema] = schema.get("properties", {})
    extra = schema.get("additionalProperties", True)
    prefix = f"{at}." if at else ""
    for name in schema.get("required", ()):
        if name not in value:
            return f"{prefix}{name} is missing"
    for name, item in value.items():
        if name not in properties and extra is False:
            known = ", ".join(properties) or "none"
            return f"{prefix}{name[:60]} is not known; the known fields are: {known}"
        part = properties.get(name, extra)
        found = find_error(item, part, f"{prefix}{name}") if isinstance(part, dict) else None
        if found:
            return found
    return None


def _array_error(value: list[object], schema: Schema, name: str) -> str | None:
    error = _range_error(len(value), schema.get("minItems"), schema.get("maxItems"), f"{name} must have", "items")
    if error or "items" not in schema:
        return error
    found = (find_error(item, schema["items"], f"{name}[{index}]") for index, item in enumerate(value))
    return next((error for error in found if error), None)


def _scalar_error(value: object, schema: Schema, name: str) -> str | None:
    if isinstance(value, str):
        limits = (schema.get("minLength"), schema.get("maxLength"))
        return _range_error(len(value), *limits, f"{name} must have", "characters")
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _range_error(value, schema.get("minimum"), schema.get("maximum"), f"{name} must be", "")
    return None


def _range_error(size: float, low: float | None, high: float | None, subject: str, unit: str) -> str | None:
    if low is not None and size < low:
        return f"{subject} at least {low} {unit}".rstrip() + f", not {size}"
    if high is not None and size > high:
        return f"{subject} at most {high} {unit}".rstrip() + f", not {size}"
    return None


def _say_type(wanted: str | list[str]) -> str:
    names = [wanted] if isinstance(wanted, str) else wanted
    return " or ".join(f"an {name}" if name[0] in "aio" else f"a {name}" for name in names)


def _say_value(value: object) -> str:
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "an array"
    shown = repr(value)
    return shown if len(shown) <= _SHOWN_CHARACTERS else shown[:_SHOWN_CHARACTERS] + "..."
