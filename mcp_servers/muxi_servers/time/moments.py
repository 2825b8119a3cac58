"""One moment: read from text, and told in every way that is asked for."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo
from email.utils import parsedate_to_datetime

from muxi_servers.kit.errors import ToolError
from muxi_servers.kit.tools import object_schema
from muxi_servers.time.zones import zone_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = [
    "MOMENT",
    "WEEKDAYS",
    "format_moment",
    "local_note",
    "place",
    "read_moment",
    "tell_moment",
    "tell_words",
    "zone_and_moment",
]

WEEKDAYS = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
_DIRECTIVES = frozenset("aAbBdHIjmMpSfyYzZuVGUWcxX%")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DATE_WORDS = frozenset((*_MONTHS, *(day[:3] for day in WEEKDAYS)))
_TEXT = {"type": "string"}
MOMENT = object_schema(
    {
        "iso": {**_TEXT, "description": "ISO 8601, with the offset"},
        "zone": _TEXT,
        "utc": _TEXT,
        "unix_seconds": {"type": "number"},
        "weekday": {"type": "string", "enum": WEEKDAYS},
        "iso_week": {**_TEXT, "description": "such as 2026-W47"},
        "day_of_year": {"type": "integer", "minimum": 1, "maximum": 366},
        "utc_offset": _TEXT,
        "abbreviation": _TEXT,
        "daylight_saving": {"type": "boolean"},
        "note": {"type": ["string", "null"], "description": "if the local time did not exist, or existed twice"},
    }
)


def read_moment(text: str, zone: tzinfo, form: str = "") -> tuple[datetime, str | None]:
    """The moment that a text names, in the zone where it names none itself; and a note where that needs one.

    Without a format it is ISO 8601, a date, `now`, Unix seconds as `@1700000000`, or as e-mail writes it.

    Raises:
        ToolError: it is none of these.
    """
    text = text.strip()
    try:
        found = _parse(text, form)
    except (ValueError, TypeError, OverflowError, OSError, re.error) as error:  # re: a directive that is there twice
        like = f"the format {form!r}" if form else "ISO 8601, such as 2026-11-21T17:30:00+01:00"
        raise ToolError(f"{text[:60]!r} does not fit {like}: {error}.") from None
    try:
        return place(found, zone)
    except OverflowError:
        raise ToolError(f"{text[:60]!r} is out of range in that zone: years go from 1 to 9999.") from None


def _parse(text: str, form: str) -> datetime:
    if form:
        return _parse_format(text, form)
    if text == "now":
        return datetime.now(UTC)
    if text.startswith("@"):
        return datetime.fromtimestamp(float(text[1:]), UTC)
    if text[:3].isalpha() or (text[-5:-4] in {"+", "-"} and "," in text):
        return _parse_mail(text)
    return datetime.fromisoformat(text)


def _parse_format(text: str, form: str) -> datetime:
    _check_format(form)
    found = datetime.strptime(text, form)  # noqa: DTZ007 - the zone is put to it by `place`
    if found.tzinfo is not None or "%Z" not in form.replace("%%", ""):
        return found
    # Python matches the name of a zone, and then forgets it.
    if not {"utc", "gmt"} & set(re.findall("[a-z]+", text.lower())):
        raise ValueError("of the zones that %Z may name, only UTC and GMT are known: write an offset, with %z")
    return found.replace(tzinfo=UTC)


def _parse_mail(text: str) -> datetime:
    found = parsedate_to_datetime(text)
    if found.tzinfo is not None:
        return found
    if text.endswith("-0000"):  # RFC 5322, 3.3: UTC, said by one who does not tell the local zone
        return found.replace(tzinfo=UTC)
    words = re.findall("[A-Za-z]+", text)
    unknown = next((word for word in words if word[:3].lower() not in _DATE_WORDS), None)
    if unknown is not None:
        raise ValueError(f"{unknown} is no zone that is known in it: write an offset, such as +0100")
    return found


def place(found: datetime, zone: tzinfo) -> tuple[datetime, str | None]:
    """The moment in the zone. A local time that was skipped is moved on; one that came twice is the first."""
    if found.tzinfo is not None:
        return found.astimezone(zone), None
    local = found.replace(tzinfo=zone)
    note = local_note(local)
    return local.astimezone(UTC).astimezone(zone), note


def local_note(local: datetime) -> str | None:
    """What is odd about a local time: skipped by the clock, or shown by it twice."""
    first, second = local.replace(fold=0).utcoffset(), local.replace(fold=1).utcoffset()
    if first == second:
        return None
    if (first or timedelta()) < (second or timedelta()):
        return f"{local:%Y-%m-%d %H:%M} did not exist there: the clocks went forward over it"
    return f"{local:%Y-%m-%d %H:%M} came twice there, when the clocks went back; the first is taken"


def tell_moment(moment: datetime, name: str, note: str | None = None) -> dict[str, Any]:
    """Fits `MOMENT`; `name` is the zone as the caller named it."""
    year, week, _ = moment.isocalendar()
    return {
        "iso": moment.isoformat(),
        "zone": name,
        "utc": moment.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "unix_seconds": moment.timestamp(),
        "weekday": WEEKDAYS[moment.weekday()],
        "iso_week": f"{year}-W{week:02}",
        "day_of_year": moment.timetuple().tm_yday,
        "utc_offset": moment.isoformat()[-6:] if moment.utcoffset() else "+00:00",
        "abbreviation": moment.tzname() or "",
        "daylight_saving": bool(moment.dst()),
        "note": note,
    }


def tell_words(told: dict[str, Any]) -> str:
    """One line for the model."""
    note = f" [{told['note']}]" if told["note"] else ""
    return f"{told['iso']} {told['zone']}, {told['weekday']}{note}"


def format_moment(moment: datetime, form: str) -> str:
    """As strftime has it.

    Raises:
        ToolError: the format has something else than the directives that every system knows.
    """
    _check_format(form)
    return moment.strftime(form)


def _check_format(form: str) -> None:
    """The system's strftime also takes widths, with which a short format fills the memory."""
    pieces = form.replace("%%", "").split("%")[1:]
    wrong = next((piece[:1] for piece in pieces if piece[:1] not in _DIRECTIVES or not piece), None)
    if wrong is not None:
        known = " ".join(f"%{letter}" for letter in sorted(_DIRECTIVES))
        raise ToolError(f"The format has %{wrong}, which is not known; there are {known}.")


def zone_and_moment(text: str, name: str, form: str = "") -> tuple[datetime, str | None]:
    """`read_moment` in a zone by name."""
    return read_moment(text, zone_of(name), form)
