"""Pictures: recognised by their first bytes, never by a name."""

from __future__ import annotations

__all__ = ["image_type"]


def image_type(data: bytes) -> str | None:
    """The MIME type of a PNG, JPEG, GIF or WebP; `None` for anything else."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return None
