"""Where DuckDB's tokens are in a Python text. Knows nothing of DuckDB itself, which is in the server's image only."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["character_offsets"]


def character_offsets(text: str, offsets: Sequence[int]) -> list[int]:
    """Offsets in the UTF-8 bytes of the text, ascending, as offsets in its characters.

    Raises:
        ValueError: one of them is in the middle of a character.
    """
    if text.isascii():
        return list(offsets)
    data = text.encode()
    found: list[int] = []
    last = characters = 0
    for offset in offsets:
        characters += len(data[last:offset].decode())
        found.append(characters)
        last = offset
    return found
