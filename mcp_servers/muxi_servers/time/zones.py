"""Time zones by their names in the IANA database, as the image has it."""

from __future__ import annotations

from datetime import timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from muxi_servers.kit.errors import ToolError

__all__ = ["find_zones", "zone_of"]

_SUGGESTED = 5
_OFFSET = len("+00:00")


def zone_of(name: str) -> tzinfo:
    """The zone of an IANA name, `UTC`, or an offset such as `+02:00`.

    Raises:
        ToolError: there is none; the text names some that are like it.
    """
    if name[:1] in {"+", "-"}:
        return _offset(name)
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: a folder of the database, such as `Europe`
        like = find_zones(name)[:_SUGGESTED]
        advice = f"did you mean {', '.join(like)}?" if like else "names are like Europe/Berlin; zones lists them."
        raise ToolError(f"There is no time zone {name[:60]!r}: {advice}") from None


def find_zones(words: str) -> list[str]:
    """Names that have the words in them, sorted; all for none."""
    wanted = words.strip().replace(" ", "_").casefold()
    return sorted(name for name in available_timezones() if wanted in name.casefold())


def _offset(name: str) -> tzinfo:
    hours, minutes = name[1:3], name[4:6]
    if len(name) != _OFFSET or name[3] != ":" or not (hours + minutes).isascii() or not (hours + minutes).isdigit():
        raise ToolError(f"{name[:20]!r} is no offset: write it as +02:00, or name a zone such as Europe/Berlin.")
    size = timedelta(hours=int(hours), minutes=int(minutes))
    if size >= timedelta(days=1) or int(minutes) >= 60:  # noqa: PLR2004 - minutes of an hour
        raise ToolError(f"{name} is no offset: it has to be less than a day, and its minutes less than 60.")
    return timezone(-size if name[0] == "-" else size)
