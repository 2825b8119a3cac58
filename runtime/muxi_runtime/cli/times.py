"""Times on the command line: a span such as `30d`, or a date."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import click

__all__ = ["AfterNow", "BeforeNow"]

_SPAN = re.compile(r"([1-9][0-9]{0,5})([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class _Moment(click.ParamType[datetime]):
    """A span from now, or an ISO 8601 date or time; one without a zone is in UTC."""

    name = "time"
    direction = 1

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """The time in UTC."""
        if isinstance(value, datetime):
            return value
        text = str(value)
        try:
            span = _SPAN.fullmatch(text)
            if span:
                return datetime.now(UTC) + self.direction * timedelta(**{_UNITS[span[2]]: int(span[1])})
            moment = datetime.fromisoformat(text)
            return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
        except (ValueError, OverflowError):
            self.fail(f"{text!r} is neither a span like 12h or 30d nor a date like 2030-01-31.", param, ctx)


class AfterNow(_Moment):
    """`30d` is thirty days from now."""

    direction = 1


class BeforeNow(_Moment):
    """`30d` is thirty days ago."""

    direction = -1
