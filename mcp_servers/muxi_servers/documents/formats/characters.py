"""Bytes of a text file to characters."""

from __future__ import annotations

from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE

__all__ = ["to_text"]


def to_text(data: bytes) -> tuple[str, str]:
    """The text and the encoding that it was read in: what its first bytes say, else UTF-8, else Windows-1252."""
    if data.startswith(BOM_UTF8):
        return data[3:].decode("utf-8", "replace"), "utf-8"
    if data.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
        return data.decode("utf-16", "replace"), "utf-16"
    try:
        return data.decode("utf-8"), "utf-8"
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace"), "windows-1252"
