"""A tool's arguments from the command line: `--args-file`, `--json-arg k=JSON`, `--arg k=text`, each over the last."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import IO, Any

import click

__all__ = ["collect", "types_of"]

TEXT = frozenset({"string"})


def collect(
    schema: Mapping[str, Any], texts: Iterable[str], values: Iterable[str], file: IO[str] | None
) -> dict[str, Any]:
    """The arguments as JSON values.

    Args:
        schema: the tool's input schema; what it wants as a number, a truth value or a structure is read as JSON from
            `--arg` too, everything else there is text.
        texts: `--arg`, as `name=text`.
        values: `--json-arg`, as `name=JSON`.
        file: a JSON object.

    Raises:
        click.BadParameter: naming the option and the argument.
    """
    arguments = _from_file(file) if file else {}
    for name, text in _pairs(values, "--json-arg"):
        arguments[name] = _json(text, f"--json-arg {name}")
    properties = schema.get("properties")
    properties = properties if isinstance(properties, Mapping) else {}
    for name, text in _pairs(texts, "--arg"):
        wanted = types_of(properties.get(name))
        as_text = not wanted or bool(wanted & TEXT)
        arguments[name] = text if as_text else _json(text, f"--arg {name}", wanted)
    return arguments


def types_of(schema: object) -> frozenset[str]:
    """The JSON types that a property's schema allows, by its own `type` or its alternatives'; empty for unknown."""
    if not isinstance(schema, Mapping):
        return frozenset()
    own = schema.get("type")
    if isinstance(own, str):
        return frozenset({own})
    if isinstance(own, list):
        return frozenset(name for name in own if isinstance(name, str))
    choices = schema.get("anyOf") or schema.get("oneOf")
    if not isinstance(choices, list):
        return frozenset()
    # One level: deeper alternatives are rare, and text that does not fit is answered by the runtime's own check.
    named = [choice.get("type") for choice in choices if isinstance(choice, Mapping)]
    return frozenset(name for name in named if isinstance(name, str)) if all(named) else frozenset()


def _pairs(items: Iterable[str], option: str) -> Iterable[tuple[str, str]]:
    seen: set[str] = set()
    for item in items:
        name, separator, text = item.partition("=")
        if not separator or not name:
            raise click.BadParameter(f"{item!r} is not like NAME=VALUE", param_hint=option)
        if name in seen:
            raise click.BadParameter(f"{name!r} is given twice", param_hint=option)
        seen.add(name)
        yield name, text


def _json(text: str, option: str, wanted: Iterable[str] = ()) -> Any:  # noqa: ANN401 - any JSON value
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        want = f"must be {' or '.join(sorted(wanted))}" if wanted else "is not JSON"
        raise click.BadParameter(f"{want}: {error}", param_hint=option) from error


def _from_file(file: IO[str]) -> dict[str, Any]:
    try:
        value = json.load(file, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise click.BadParameter(f"is not JSON: {error}", param_hint="--args-file") from error
    if not isinstance(value, dict):
        raise click.BadParameter("must hold a JSON object", param_hint="--args-file")
    return value


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")
