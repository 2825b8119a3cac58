"""What kind of document an answer is: by what the host says and, where that says nothing, by its first bytes."""

from __future__ import annotations

from muxi_servers.kit.pictures import image_type

__all__ = ["kind_of"]

_SNIFFED = 1_024
_HTML = frozenset({"text/html", "application/xhtml+xml"})
_VAGUE = frozenset({"", "application/octet-stream", "binary/octet-stream", "application/download", "unknown/unknown"})
_TEXTS = frozenset(
    (
        *("application/xml", "application/javascript", "application/ecmascript", "application/x-javascript"),
        *("application/yaml", "application/x-yaml", "application/toml", "application/sql", "application/rtf"),
        *("application/x-sh", "application/graphql", "application/x-ndjson", "image/svg+xml"),
    )
)


def kind_of(media_type: str, data: bytes) -> str:
    """`html`, `pdf`, `json`, `text`, `image`, or `none` for what cannot be read. `media_type` is in lower case."""
    start = data[:_SNIFFED]
    if start.startswith(b"%PDF-") or media_type == "application/pdf":
        return "pdf"
    if media_type in _VAGUE:
        return _sniffed(start)
    if media_type in _HTML:
        return "html"
    if media_type == "application/json" or media_type.endswith("+json"):
        return "json"
    if media_type.startswith("text/") or media_type in _TEXTS or media_type.endswith("+xml"):
        return "text"
    return "image" if media_type.startswith("image/") else "none"


def _sniffed(start: bytes) -> str:
    if image_type(start):
        return "image"
    if b"\0" in start:
        return "none"
    opening = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if opening.startswith((b"<!doctype html", b"<html", b"<head", b"<body")):
        return "html"
    return "json" if opening.startswith((b"{", b"[")) else "text"
