"""What goes wrong with a document itself."""

from __future__ import annotations

__all__ = ["UnreadableError"]


class UnreadableError(Exception):
    """The document cannot be turned into text; the message says why, as a sentence."""
