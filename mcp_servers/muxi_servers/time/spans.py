"""Spans of time: put to a moment, and between two."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from muxi_servers.kit.errors import ToolError
from muxi_servers.kit.tools import object_schema
from muxi_servers.time.moments import place

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["DIFFERENCE", "add", "difference"]

_MONTHS = 12
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_COUNT = {"type": "integer", "minimum": 0}
_WHOLE = {"type": "integer"}
DIFFERENCE = object_schema(
    {
        "seconds": {"type": "number", "description": "elapsed; negative if the end is before the start"},
        "negative": {"type": "boolean"},
        "calendar": object_schema(dict.fromkeys(("years", "months", "days", "hours", "minutes", "seconds"), _COUNT)),
        "days": {"type": "number", "description": "elapsed, of 24 hours each"},
        "calendar_days": {**_WHOLE, "description": "midnights between the two dates"},
        "working_days": {**_WHOLE, "description": "Mondays to Fridays from the first date on, the last left out"},
        "words": {"type": "string"},
    }
)


def add(moment: datetime, spans: dict[str, float]) -> tuple[datetime, str | None]:
    """A moment later: years to days by the calendar and the clock on the wall, hours to seconds as they elapse.

    Raises:
        ToolError: it leaves the years 1 to 9999.
    """
    zone = moment.tzinfo
    assert zone is not None  # noqa: S101 - moments have zones  # nosec B101
    try:
        local = _add_months(moment.replace(tzinfo=None), int(spans["years"]) * _MONTHS + int(spans["months"]))
        local += timedelta(weeks=int(spans["weeks"]), days=int(spans["days"]))
        placed, note = place(local, zone) if local != moment.replace(tzinfo=None) else (moment, None)
        elapsed = timedelta(hours=spans["hours"], minutes=spans["minutes"], seconds=spans["seconds"])
        return (placed.astimezone(UTC) + elapsed).astimezone(zone), note
    except (OverflowError, ValueError):
        raise ToolError("The result is out of range: years go from 1 to 9999.") from None


def _add_months(local: datetime, months: int) -> datetime:
    """The same day of another month; the last one where that month is shorter."""
    year, month = divmod(local.year * _MONTHS + local.month - 1 + months, _MONTHS)
    day = local.day
    while True:
        try:
            return local.replace(year=year, month=month + 1, day=day)
        except ValueError:
            if day <= 28 or not 1 <= year <= 9999:  # noqa: PLR2004 - every month has 28 days
                raise
            day -= 1


def difference(start: datetime, end: datetime) -> dict[str, Any]:
    """Fits `DIFFERENCE`. The calendar's parts are those that `add` takes, in the start's zone."""
    elapsed = (end - start.astimezone(UTC)).total_seconds()
    first, last = sorted((start, end), key=lambda moment: moment.timestamp())
    zone = start.tzinfo
    calendar = _calendar(first.astimezone(zone), last.astimezone(zone))
    negative = elapsed < 0
    days = (last.astimezone(zone).date() - first.astimezone(zone).date()).days
    return {
        "seconds": elapsed,
        "negative": negative,
        "calendar": calendar,
        "days": round(elapsed / 86_400, 6),
        "calendar_days": -days if negative else days,
        "working_days": _working_days(first.astimezone(zone).weekday(), days) * (-1 if negative else 1),
        "words": ("minus " if negative else "") + _words(calendar),
    }


def _calendar(first: datetime, last: datetime) -> dict[str, int]:
    """Months and days by the clock on the wall, the rest as it elapsed: a clock that is put back shows less."""
    months = (last.year - first.year) * _MONTHS + last.month - first.month
    while months > 0 and _elapsed(first, months, 0, last) < timedelta():
        months -= 1
    days = max((last.date() - _add_months(first.replace(tzinfo=None), months).date()).days, 0)
    while days > 0 and _elapsed(first, months, days, last) < timedelta():
        days -= 1
    seconds = _elapsed(first, months, days, last) // timedelta(seconds=1)
    return {
        "years": months // _MONTHS,
        "months": months % _MONTHS,
        "days": days,
        "hours": seconds // 3600,
        "minutes": seconds % 3600 // 60,
        "seconds": seconds % 60,
    }


def _elapsed(first: datetime, months: int, days: int, last: datetime) -> timedelta:
    """From months and days after `first` to `last`."""
    local = _add_months(first.replace(tzinfo=None), months) + timedelta(days=days)
    later = local.replace(tzinfo=first.tzinfo) if months or days else first
    return (last - _EPOCH) - (
        later - _EPOCH
    )  # two moments of one zone would be taken from each other as the wall shows them


def _working_days(weekday: int, days: int) -> int:
    weeks, rest = divmod(days, 7)
    return weeks * 5 + sum((weekday + ahead) % 7 < 5 for ahead in range(rest))  # noqa: PLR2004 - 5: Saturday


def _words(calendar: dict[str, int]) -> str:
    parts = [f"{count} {name if count != 1 else name[:-1]}" for name, count in calendar.items() if count]
    return ", ".join(parts) or "0 seconds"
