"""What looks suspicious in the tools of a server that nobody has accepted yet.

It marks; a person decides. A clean review is no proof: a description can lie in plain words. What is looked for:
characters that people do not see and models do; words that speak to the model rather than of the tool; names that look
like others; tools that stand in front of those of another server.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from muxi_runtime.catalog.manifest import Manifest
from muxi_runtime.catalog.pins import PinKind, name_of
from muxi_runtime.instructions.definitions import spoken_to_model

__all__ = ["Finding", "exposures", "hidden_passages", "review", "review_texts"]

LONGEST_DESCRIPTION = 4000
SHOWN = 120
_ALLOWED_CONTROLS = frozenset("\n\r\t")
_HIDDEN = frozenset({"Cc", "Cf", "Co", "Cs", "Cn", "Zl", "Zp"})
"""Unicode's general categories of what has no glyph of its own: tag characters, bidi marks, zero-width, escapes."""
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")


@dataclass(frozen=True, slots=True)
class Finding:
    """One suspicious thing.

    Attributes:
        where: the place in the definition, as `description` or `inputSchema/properties/path/description`.
        what: why it is suspicious, as a sentence.
        text: the passage, with what cannot be seen written out.
    """

    tool: str
    where: str
    what: str
    text: str


def review(definitions: Sequence[Mapping[str, Any]], others: Mapping[str, Sequence[str]]) -> list[Finding]:
    """Look at all tools of a server. `others`: tools of the servers that are there already, by server."""
    found: list[Finding] = []
    for definition in definitions:
        tool = str(definition.get("name", ""))
        found += _name(tool, others)
        for where, text in _texts(definition, ()):
            found += (Finding(_visible(tool), where, what, passage) for what, passage in _text(text))
            if where != "name":
                found += _speaks_of_others(tool, where, text, others)
    return found


def review_texts(definitions: Sequence[Mapping[str, Any]], kind: PinKind) -> list[Finding]:
    """Look at all that prompts or templates say; their names may be of any form."""
    found: list[Finding] = []
    for definition in definitions:
        name = _visible(name_of(kind, definition))
        for where, text in _texts(definition, ()):
            found += (Finding(name, where, what, passage) for what, passage in _text(text))
    return found


def hidden_passages(texts: Sequence[tuple[str, str]]) -> list[Finding]:
    """Texts of what tools were made from, with their places, that had characters which are not seen and are gone."""
    found: list[Finding] = []
    for where, text in texts:
        hidden = [at for at, c in enumerate(text) if unicodedata.category(c) in _HIDDEN and c not in _ALLOWED_CONTROLS]
        what = f"It held {len(hidden) or 'some'} characters that are not seen; they are left out."
        found.append(Finding("", _visible(where), what, _around(text, hidden[0] if hidden else 0)))
    return found


def exposures(manifest: Manifest) -> list[Finding]:
    """Secrets whose values the server would see, and could send to each of its hosts or tell in a result."""
    return [
        Finding(
            "", f"profile.secrets.{name}", "The server sees the value of this secret itself.", f"expose: {use.expose}"
        )
        for name, use in manifest.profile.secrets.items()
        if use.expose
    ]


def _name(tool: str, others: Mapping[str, Sequence[str]]) -> Iterator[Finding]:
    shown = _visible(tool)
    if not _NAME.fullmatch(tool):
        plain = unicodedata.normalize("NFKC", tool)
        what = "The name has letters that look like others." if not plain.isascii() or plain != tool else ""
        yield Finding(shown, "name", what or "The name holds characters that tool names do not have.", shown)
    alike = [server for server, tools in others.items() if _folded(tool) in map(_folded, tools)]
    if alike:
        yield Finding(shown, "name", f"Server {', '.join(alike)} has a tool that looks the same.", shown)


def _folded(name: str) -> str:
    """Names that are taken for each other have one form."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]", "", plain).translate(str.maketrans("01", "ol"))


def _texts(value: object, path: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Every text in a definition, names of properties included, with its place."""
    if isinstance(value, str):
        yield "/".join(path), value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            if not str(key).isascii():
                yield "/".join((*path, "(a name)")), str(key)
            yield from _texts(item, (*path, str(key)))
    elif isinstance(value, Sequence):
        for number, item in enumerate(value):
            yield from _texts(item, (*path, str(number)))


def _text(text: str) -> Iterator[tuple[str, str]]:
    hidden = [c for c in text if unicodedata.category(c) in _HIDDEN and c not in _ALLOWED_CONTROLS]
    if hidden:
        yield f"It holds {len(hidden)} characters that are not seen.", _around(text, text.index(hidden[0]))
    plain = "".join(c for c in unicodedata.normalize("NFKC", text) if c not in hidden)
    place = spoken_to_model(plain)
    if place is not None:
        yield "It speaks to the model.", _around(plain, place)
    if len(text) > LONGEST_DESCRIPTION:
        yield f"It has {len(text)} characters, more than people read.", _around(text, LONGEST_DESCRIPTION)


def _speaks_of_others(tool: str, where: str, text: str, others: Mapping[str, Sequence[str]]) -> Iterator[Finding]:
    """A description that tells how to use another server's tool changes what that one does."""
    for server, names in others.items():
        for name in names:
            for said in (f"{server}__{name}", f"{server}.{name}"):
                if said in text:
                    what = f"It speaks of {said}, a tool of another server."
                    yield Finding(_visible(tool), where, what, _around(text, text.index(said)))


def _around(text: str, at: int) -> str:
    start = max(0, at - SHOWN // 3)
    return _visible(text[start : start + SHOWN])


def _visible(text: str) -> str:
    """With what cannot be seen written as U+XXXX."""
    return "".join(
        c if c == " " or (unicodedata.category(c) not in _HIDDEN and c.isprintable()) else f"<U+{ord(c):04X}>"
        for c in text.replace("\n", " ").replace("\r", " ").replace("\t", " ")
    )
