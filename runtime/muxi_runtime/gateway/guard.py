"""Results are looked at before anybody gets them: what is hidden is taken out, what is too long is cut.

Above: the door. Below: `hidden` (which characters) and `rests` (where the whole of a cut text is kept).

A result that is clean and short is given out as it came; nothing is added to it. A text that is cut ends with a
sentence that says so and how to read on. Structured content cannot be cut and stay what it is: it is left out, and
kept as JSON. Where the tool promises some by an output schema, a client would take a result without it for broken, so
the result is an error then, whose text says that the call was made and where its result is.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from muxi_runtime.errors import ServerError
from muxi_runtime.gateway.hidden import clean, holds_hidden
from muxi_runtime.gateway.settings import GatewaySettings

__all__ = [
    "LABELS_META",
    "REST_META",
    "STRIPPED_META",
    "Admitted",
    "Guarded",
    "Tally",
    "admit",
    "cleaned",
    "cleaned_words",
    "fit",
]

STRIPPED_META = "muxi/stripped"
REST_META = "muxi/rest"
LABELS_META = "muxi/labels"
INSTRUCTIONS_META = "muxi/instructions"

JSON = json.JSONEncoder(ensure_ascii=False, allow_nan=False)

Keep: TypeAlias = Callable[[str, str], str]
"""Keeps a text of a media type; the URI under which it can be read.

Raises:
    ServerError: there is no room for it.
"""


@dataclass(slots=True)
class Tally:
    """What was taken out of a call's answers so far.

    Attributes:
        stripped: hidden characters.
        instructions: what became of passages that give instructions to a model: `withhold` or `mark`; empty: none were.
        passages: how many these were; `characters` all together, `rules` by which they were found.
        kept: URIs of where the withheld ones are.
    """

    stripped: int = 0
    instructions: str = ""
    passages: int = 0
    characters: int = 0
    rules: frozenset[str] = frozenset()
    kept: list[str] = field(default_factory=list)

    def clean(self, value: Any) -> Any:  # noqa: ANN401  # JSON in, JSON out
        """See `cleaned`."""
        value, count = cleaned(value)
        self.stripped += count
        return value

    def told(self) -> dict[str, object]:
        """Of passages, for the journal; nothing where there were none."""
        if not self.passages:
            return {}
        facts = {"instructions": self.instructions, "passages": self.passages, "characters": self.characters}
        return {**facts, "rules": sorted(self.rules), "withheld": list(self.kept)}


@dataclass(frozen=True, slots=True)
class Admitted:
    """A result of which nothing is hidden.

    Attributes:
        size: of what the server sent, in bytes of JSON.
        text: `given` as JSON.
    """

    given: dict[str, Any]
    size: int
    text: str


@dataclass(frozen=True, slots=True)
class Guarded:
    """A result that may be given out.

    Attributes:
        size: of what the server sent, in bytes of JSON.
        text: all of it as JSON, before passages were withheld and it was cut.
        rests: URIs of what was cut.
    """

    result: dict[str, Any]
    size: int
    text: str
    rests: tuple[str, ...] = ()


def admit(result: Mapping[str, Any], *, name: str, settings: GatewaySettings, tally: Tally) -> Admitted:
    """The result without what is hidden in it. `name` is the tool's, for messages.

    Raises:
        ServerError: it is too large even to be kept, or no JSON, or has two keys that look the same.
    """
    written, encoded = _written(result, name)
    size = len(encoded)
    if size > settings.max_whole_result_bytes:
        raise ServerError(
            f"The result of {name} has {size} bytes; the limit is {settings.max_whole_result_bytes}.",
            remedy="Ask the tool for less at a time, or raise gateway.max_whole_result_bytes in muxi.yaml.",
        )
    given = dict(result)
    if holds_hidden(written, encoded):
        given = tally.clean(given)
        written, _ = _written(given, name)
    return Admitted(given, size, written)


def fit(
    admitted: Admitted,
    given: Mapping[str, Any],
    *,
    settings: GatewaySettings,
    tally: Tally,
    keep: Keep,
    has_schema: bool,
) -> Guarded:
    """The result as its caller may have it: `given` is what was admitted, or what is left of it.

    `has_schema` says whether the tool promises structured content. What the `tally` of the call counted is told too.
    `keep` is called with each text that is cut, whole.

    Raises:
        ServerError: it is too large even to be kept.
    """
    shown = dict(given)
    written = admitted.text if given is admitted.given else JSON.encode(given)
    rests: list[dict[str, Any]] = []
    if len(written.encode(errors="replace")) > settings.max_result_bytes:
        rests = _shorten(shown, settings.max_result_bytes, keep, has_schema=has_schema)
    _note(shown, STRIPPED_META, tally.stripped)
    _note(shown, REST_META, rests)
    _note(shown, INSTRUCTIONS_META, tally.told())
    return Guarded(shown, admitted.size, admitted.text, tuple(rest["uri"] for rest in rests))


def cleaned(value: Any) -> tuple[Any, int]:  # noqa: ANN401  # JSON in, JSON out
    """A JSON value whose texts and keys hold nothing hidden, and how many characters were taken out.

    Raises:
        ServerError: two keys of one object look the same without them.
    """
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, list):
        items = [cleaned(item) for item in value]
        return [item for item, _ in items], sum(count for _, count in items)
    if not isinstance(value, Mapping):
        return value, 0
    found: dict[str, Any] = {}
    total = 0
    for key, item in value.items():
        name, in_key = clean(key)
        if name in found:
            raise ServerError(
                f"The answer holds two keys {name[:80]!r} that differ only in characters that are not seen.",
                remedy="Nobody can tell which is meant; the server has to be mended.",
            )
        found[name], in_item = cleaned(item)
        total += in_key + in_item
    return found, total


def cleaned_words(definition: Any, names: frozenset[str] = frozenset({"title", "description"})) -> Any:  # noqa: ANN401
    """A definition whose words for its reader are cleaned. All else stays: names and schemas have to be as they are."""
    if isinstance(definition, list):
        return [cleaned_words(item, names) for item in definition]
    if not isinstance(definition, Mapping):
        return definition
    return {
        key: clean(value)[0] if key in names and isinstance(value, str) else cleaned_words(value, names)
        for key, value in definition.items()
    }


def _written(result: Mapping[str, Any], name: str) -> tuple[str, bytes]:
    try:
        text = JSON.encode(result)
    except ValueError as error:
        raise ServerError(f"The result of {name} holds a number that JSON has no form for.") from error
    return text, text.encode(errors="replace")


def _note(result: dict[str, Any], name: str, value: object) -> None:
    if value:
        result["_meta"] = {**(result.get("_meta") or {}), name: value}


def _shorten(result: dict[str, Any], limit: int, keep: Keep, *, has_schema: bool) -> list[dict[str, Any]]:
    """Cut texts until all of them together have `limit` bytes; what was cut, for `_meta`."""
    rests: list[dict[str, Any]] = []
    left = limit
    if "structuredContent" in result:
        written = json.dumps(result["structuredContent"], ensure_ascii=False)
        size = len(written.encode(errors="replace"))
        if size > limit // 2:
            rests.append(_leave_out(result, written, keep, has_schema=has_schema))
        else:
            left -= size
    for holder in _holders(result):
        text: str = holder["text"]
        shown = _beginning(text, max(left, 0))
        left -= _size(text) if shown == len(text) else left
        if shown < len(text):
            uri = keep(text, str(holder.get("mimeType") or "text/plain"))
            rests.append({"uri": uri, "shown": shown, "characters": len(text)})
            holder["text"] = text[:shown] + _told(f"the first {shown} of {len(text)} characters are above", uri, shown)
    return rests


def _leave_out(result: dict[str, Any], written: str, keep: Keep, *, has_schema: bool) -> dict[str, Any]:
    uri = keep(written, "application/json")
    del result["structuredContent"]
    said = "the structured content is left out"
    if has_schema:
        result["isError"] = True
        said = "the call was made, and is no failure of the tool; its structured content is left out"
    note = {"type": "text", "text": _told(f"{said}: {len(written)} characters of JSON", uri, 0).strip()}
    result["content"] = [note, *result.get("content", ())]
    return {"uri": uri, "shown": 0, "characters": len(written)}


def _told(what: str, uri: str, offset: int) -> str:
    return (
        f"\n[too long: {what}. Read on with the tool muxi__result_read (uri={uri}, offset={offset}), or by "
        f"resources/read of {uri}?offset={offset}. It is kept for a while, at most until the task ends.]"
    )


def _holders(result: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The objects with a text that a model is shown: in results of tools, resources and prompts."""
    messages = (message.get("content") for message in _objects(result.get("messages")))
    for block in _objects([*_objects(result.get("content")), *_objects(result.get("contents")), *messages]):
        for holder in (block, block.get("resource")):
            if isinstance(holder, dict) and isinstance(holder.get("text"), str):
                yield holder


def _objects(value: object) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _size(text: str) -> int:
    """In bytes of JSON, without the quotes."""
    return len(json.dumps(text, ensure_ascii=False).encode(errors="replace")) - 2


def _beginning(text: str, limit: int) -> int:
    """How many characters of the text have `limit` bytes as JSON, or a little less."""
    shown, size = len(text), _size(text)
    while size > limit:
        shown = min(shown - 1, shown * limit // size)
        size = _size(text[:shown])
    return shown
