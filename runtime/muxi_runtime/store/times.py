"""Times as the database keeps them: text that both databases sort alike."""

from __future__ import annotations

from datetime import UTC, datetime

__all__ = ["from_text", "utc_text"]


def utc_text(moment: datetime | None = None) -> str:
    """ISO 8601 in UTC with microseconds and `Z`: always 27 characters, so that text order is time order.

    Args:
        moment: a time with its zone; `None` is now.
    """
    # Not strftime: the C library looks for the local zone's file each time.
    return (moment or datetime.now(UTC)).astimezone(UTC).isoformat(timespec="microseconds")[:26] + "Z"


def from_text(text: str) -> datetime:
    """The time that `utc_text` wrote.

    Raises:
        ValueError: it was not written so.
    """
    return datetime.fromisoformat(text)
