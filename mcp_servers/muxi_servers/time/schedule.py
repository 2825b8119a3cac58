"""When a weekday, or a cron expression, comes next.

A cron expression has five fields: minute, hour, day of the month, month, day of the week (0 or 7 is Sunday), each `*`,
a number, a range `1-5`, a list `1,3`, a step `*/15` or `10-40/10`; months and weekdays also by three letters. As with
Vixie's cron, a day fits if either of the two day fields does, unless one of them is `*`; and a time that the clocks
show twice comes twice only if the minute or the hour begins with `*`.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from muxi_servers.kit.errors import ToolError
from muxi_servers.time.moments import WEEKDAYS, local_note

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import tzinfo

__all__ = ["Cron", "next_weekdays"]

_DAYS_AHEAD = 366 * 30
_MONTH_NAMES = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_FIELDS = (("minute", 0, 59), ("hour", 0, 23), ("day of the month", 1, 31), ("month", 1, 12), ("weekday", 0, 7))
_SHORTHANDS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
}


def next_weekdays(name: str, after: datetime, count: int) -> list[datetime]:
    """The next days of that name after the day of `after`, at the same time of day.

    Raises:
        ToolError: there is no such weekday, or the years end.
    """
    matches = [index for index, day in enumerate(WEEKDAYS) if len(name) > 1 and day.startswith(name.lower())]
    if len(matches) != 1:
        raise ToolError(f"{name[:20]!r} is no weekday; there are {', '.join(WEEKDAYS)}.")
    ahead = (matches[0] - after.weekday() - 1) % 7 + 1
    local = after.replace(tzinfo=None)
    try:
        found = [local + timedelta(days=ahead + 7 * week) for week in range(count)]
        return [day.replace(tzinfo=after.tzinfo).astimezone(UTC).astimezone(after.tzinfo) for day in found]
    except OverflowError:
        raise ToolError("The result is out of range: years go from 1 to 9999.") from None


class Cron:
    """One expression.

    Raises:
        ToolError: it is none.
    """

    def __init__(self, expression: str) -> None:
        text = _SHORTHANDS.get(expression.strip(), expression)
        fields = text.split()
        if len(fields) != len(_FIELDS):
            raise ToolError(f"A cron expression has five fields, such as '30 8 * * mon-fri'; this has {len(fields)}.")
        parsed = [_field(field, *about) for field, about in zip(fields, _FIELDS, strict=True)]
        self._minutes, self._hours, self._days, self._months, weekdays = map(sorted, parsed)
        self._weekdays = {day % 7 for day in weekdays}
        self._often = fields[0].startswith("*") or fields[1].startswith("*")
        self._either = not fields[2].startswith("*") and not fields[4].startswith("*")

    def after(self, moment: datetime, count: int) -> list[datetime]:
        """The next times, at most `count`; fewer if it does not fit more often within 30 years."""
        found: list[datetime] = []
        for when in self._times(moment):
            found.append(when)
            if len(found) == count:
                break
        return found

    def _times(self, moment: datetime) -> Iterator[datetime]:
        start = moment.timestamp()
        for day in _days_from(moment.date()):
            if self._fits(day):
                found = sorted(self._on(day, moment.tzinfo), key=datetime.timestamp)
                yield from (when for when in found if when.timestamp() > start)

    def _on(self, day: date, zone: tzinfo | None) -> Iterator[datetime]:
        for hour in self._hours:
            for minute in self._minutes:
                local = datetime(day.year, day.month, day.day, hour, minute, tzinfo=zone)
                note = local_note(local)
                if note is None or "not exist" not in note:
                    yield local
                if note is not None and "came twice" in note and self._often:
                    yield local.replace(fold=1)

    def _fits(self, day: date) -> bool:
        if day.month not in self._months:
            return False
        by_month, by_week = day.day in self._days, day.isoweekday() % 7 in self._weekdays
        return by_month or by_week if self._either else by_month and by_week


def _days_from(first: date) -> Iterator[date]:
    for ahead in range(_DAYS_AHEAD):
        try:
            yield first + timedelta(days=ahead)
        except OverflowError:
            return


def _field(text: str, name: str, low: int, high: int) -> set[int]:
    found: set[int] = set()
    for part in text.split(","):
        span, slash, step_text = part.partition("/")
        step = _number(step_text, name, 1, high) if slash else 1
        if span == "*":
            first, last = low, high
        else:
            begin, dash, end = span.partition("-")
            first = _number(begin, name, low, high)
            last = _number(end, name, low, high) if dash else (high if slash else first)
        if last < first:
            raise ToolError(f"The {name} {part[:20]!r} goes backwards: write the smaller number first.")
        found.update(range(first, last + 1, step))
    return found


def _number(text: str, name: str, low: int, high: int) -> int:
    word = text.lower()
    if name == "month" and word in _MONTH_NAMES:
        return _MONTH_NAMES.index(word) + 1
    short = [day[:3] for day in WEEKDAYS]
    if name == "weekday" and word in short:
        return (short.index(word) + 1) % 7
    if not (word.isascii() and word.isdigit() and len(word) < 4 and low <= int(word) <= high):  # noqa: PLR2004
        raise ToolError(f"The {name} {text[:20]!r} is no number from {low} to {high}.")
    return int(word)
