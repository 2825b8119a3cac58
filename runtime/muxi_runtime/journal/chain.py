"""The hash chain of `contract`, and how an event becomes text. Pure; the only place that knows the format."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from json.encoder import encode_basestring
from typing import Any

from pydantic_core import to_json

from muxi_runtime.errors import JournalError
from muxi_runtime.journal.contract import Draft, Event

__all__ = ["MAX_DEPTH", "canonical", "event_hash", "prepare", "seal", "text_of", "to_document", "to_line"]

MAX_DEPTH = 32
"""Nesting of an event's data; deeper values are replaced."""

_KIND = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+")
_SURROGATES = re.compile("[\ud800-\udfff]")
_SHORT = 1000
"""Characters kept of an oversized event's data."""
_LEAST, _MOST = 1e-4, 1e12
"""Fractions between these are written without an exponent, whoever writes them."""
_NAMES = frozenset({str})
_FLAT = frozenset({str, int, float, bool, type(None), list})
_JSON = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


@dataclass(frozen=True, slots=True)
class _Prepared(Draft):
    """A draft that can be kept as it is, with its data as canonical JSON: `prepare` has to write that anyway."""

    text: str = "{}"


def canonical(value: object) -> str:
    """JSON with sorted keys and no spaces, not ASCII-only: what is hashed, as UTF-8."""
    return _JSON.encode(value)


def event_hash(event: Event) -> str:
    """SHA-256, as hexadecimal digits, over the canonical JSON of all fields but `hash`."""
    return hashlib.sha256(canonical(_fields(event)).encode()).hexdigest()


def seal(draft: Draft, *, seq: int, at: str, previous: str) -> Event:
    """Give a prepared draft its place in the chain."""
    # As `event_hash` does it, but the data has been written once already: this is done twice in each call of a tool.
    text = (
        f'{{"at":"{at}","call":{_quoted(draft.call)},"data":{text_of(draft)},"kind":"{draft.kind}",'
        f'"previous":{encode_basestring(previous)},"principal":{_quoted(draft.principal)},"seq":{seq},'
        f'"task":{_quoted(draft.task)}}}'
    )
    return Event(
        kind=draft.kind,
        principal=draft.principal,
        task=draft.task,
        call=draft.call,
        data=draft.data,
        seq=seq,
        at=at,
        previous=previous,
        hash=hashlib.sha256(text.encode()).hexdigest(),
    )


def text_of(draft: Draft) -> str:
    """The data of a prepared draft as canonical JSON."""
    return draft.text if isinstance(draft, _Prepared) else canonical(draft.data)


def _quoted(text: str | None) -> str:
    return "null" if text is None else encode_basestring(text)


def to_line(event: Event) -> str:
    """One line of ASCII JSON, without a line feed: JSON escapes control characters and lookalikes."""
    return json.dumps(to_document(event), separators=(",", ":"), allow_nan=False)


def to_document(event: Event) -> dict[str, Any]:
    """The event as a JSON object, as `to_line` and the API show it."""
    return {**_fields(event), "hash": event.hash}


def prepare(draft: Draft, *, max_bytes: int) -> Draft:
    """The draft without what JSON, UTF-8 or the size limit cannot take: no output of a tool fails here.

    Raises:
        JournalError: the caller's own mistake: no such kind of kind, or data that is not made of JSON values.
    """
    if not _KIND.fullmatch(draft.kind):
        raise JournalError(f"{draft.kind!r} is no kind of event: it must read like `call.decided`.")
    data, text = _written(draft.data)
    encoded = text.encode()
    if len(encoded) > max_bytes:
        data = {
            "shortened": True,
            "bytes": len(encoded),
            "sha256": hashlib.sha256(encoded).hexdigest(),
            "start": encoded[:_SHORT].decode(errors="ignore"),
        }
        text = canonical(data)
    return _Prepared(
        kind=draft.kind,
        principal=_clean_text(draft.principal),
        task=_clean_text(draft.task),
        call=_clean_text(draft.call),
        data=data,
        text=text,
    )


def _fields(event: Event) -> dict[str, Any]:
    return {
        "seq": event.seq,
        "at": event.at,
        "kind": event.kind,
        "principal": event.principal,
        "task": event.task,
        "call": event.call,
        "data": event.data,
        "previous": event.previous,
    }


def _written(data: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """A clean copy of an event's data, and its canonical JSON."""
    if _NAMES.issuperset(map(type, data)) and _FLAT.issuperset(map(type, data.values())):
        flat = {name: data[name] if type(data[name]) is not list else [*data[name]] for name in sorted(data)}
        # Of such data, in ASCII, this writes what `canonical` does, in a third of the time.
        text = _quickly(flat) if all(map(_is_plain, flat.values())) else ""
        if text:
            return flat, text
    kept = _clean(data, MAX_DEPTH)
    return kept, canonical(kept)


def _quickly(flat: dict[str, Any]) -> str:
    """Its JSON; empty where that is not in ASCII, and may have to be cleaned."""
    try:
        text = to_json(flat)
    except ValueError:  # half a surrogate pair
        return ""
    return text.decode() if text.isascii() else ""


def _is_plain(value: object) -> bool:
    """Whether a value that is flat is written by every writer of JSON in the same way, but for its texts."""
    if type(value) is float:
        return not value or _LEAST <= abs(value) <= _MOST
    return type(value) is not list or all(isinstance(item, str) for item in value)


def _clean_text(text: str | None) -> str | None:
    # Half a surrogate pair is legal in JSON's escapes and illegal in UTF-8.
    return text if text is None or text.isascii() else _SURROGATES.sub("\ufffd", text)


def _clean(value: object, depth: int) -> Any:  # noqa: ANN401 - JSON
    if isinstance(value, str):
        return value if value.isascii() else _clean_text(value)
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if not isinstance(value, dict | Mapping | list | tuple | set | frozenset):
        raise JournalError(f"An event's data must be made of JSON values, not of {type(value).__name__}.")
    if depth == 0:
        return "(too deep)"
    if isinstance(value, dict | Mapping):
        return {
            key if type(key) is str and key.isascii() else _clean_text(str(key)): _clean(part, depth - 1)
            for key, part in value.items()
        }
    parts = sorted(value, key=str) if isinstance(value, set | frozenset) else value
    return [_clean(part, depth - 1) for part in parts]
