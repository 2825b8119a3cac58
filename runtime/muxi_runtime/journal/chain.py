"""The hash chain of `contract`, and how an event becomes text. Pure; the only place that knows the format."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from muxi_runtime.errors import JournalError
from muxi_runtime.journal.contract import Draft, Event

__all__ = ["MAX_DEPTH", "canonical", "event_hash", "prepare", "seal", "to_document", "to_line"]

MAX_DEPTH = 32
"""Nesting of an event's data; deeper values are replaced."""

_KIND = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+")
_SURROGATES = re.compile("[\ud800-\udfff]")
_SHORT = 1000
"""Characters kept of an oversized event's data."""


def canonical(value: object) -> str:
    """JSON with sorted keys and no spaces, not ASCII-only: what is hashed, as UTF-8."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def event_hash(event: Event) -> str:
    """SHA-256, as hexadecimal digits, over the canonical JSON of all fields but `hash`."""
    return hashlib.sha256(canonical(_fields(event)).encode()).hexdigest()


def seal(draft: Draft, *, seq: int, at: str, previous: str) -> Event:
    """Give a prepared draft its place in the chain."""
    event = Event(
        kind=draft.kind,
        principal=draft.principal,
        task=draft.task,
        call=draft.call,
        data=draft.data,
        seq=seq,
        at=at,
        previous=previous,
    )
    return replace(event, hash=event_hash(event))


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
    data = _clean(draft.data, MAX_DEPTH)
    text = canonical(data).encode()
    if len(text) > max_bytes:
        data = {
            "shortened": True,
            "bytes": len(text),
            "sha256": hashlib.sha256(text).hexdigest(),
            "start": text[:_SHORT].decode(errors="ignore"),
        }
    return Draft(
        kind=draft.kind,
        principal=_clean_text(draft.principal),
        task=_clean_text(draft.task),
        call=_clean_text(draft.call),
        data=data,
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


def _clean_text(text: str | None) -> str | None:
    # Half a surrogate pair is legal in JSON's escapes and illegal in UTF-8.
    return None if text is None else _SURROGATES.sub("\ufffd", text)


def _clean(value: object, depth: int) -> Any:  # noqa: ANN401 - JSON
    if isinstance(value, str):
        return _clean_text(value)
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if not isinstance(value, Mapping | list | tuple | set | frozenset):
        raise JournalError(f"An event's data must be made of JSON values, not of {type(value).__name__}.")
    if depth == 0:
        return "(too deep)"
    if isinstance(value, Mapping):
        return {_clean_text(str(key)): _clean(part, depth - 1) for key, part in value.items()}
    parts = sorted(value, key=str) if isinstance(value, set | frozenset) else value
    return [_clean(part, depth - 1) for part in parts]
