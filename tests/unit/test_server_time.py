from __future__ import annotations

from datetime import UTC, datetime
from time import tzset
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muxi_servers.kit.call import Call
from muxi_servers.kit.errors import ToolError
from muxi_servers.kit.schema import find_error
from muxi_servers.kit.tools import Tool
from muxi_servers.time.moments import format_moment, tell_moment, zone_and_moment
from muxi_servers.time.schedule import Cron, next_weekdays
from muxi_servers.time.server import _list_tools, _moment_tools, _span_tools
from muxi_servers.time.spans import add, difference
from muxi_servers.time.zones import find_zones, zone_of

TOOLS: dict[str, Tool] = {tool.name: tool for tool in [*_moment_tools(), *_span_tools(), *_list_tools()]}
NOTHING = dict.fromkeys(("years", "months", "weeks", "days", "hours", "minutes", "seconds"), 0)


def call(tool: str, **arguments: Any) -> dict[str, Any]:
    told = TOOLS[tool].run(Call(), arguments).structured
    assert told is not None
    assert find_error(told, TOOLS[tool].definition["outputSchema"]) is None
    return told


def at(text: str, zone: str = "UTC") -> datetime:
    return zone_and_moment(text, zone)[0]


def test_a_moment_is_told_in_every_zone_asked_for() -> None:
    told = call("convert", time="2026-11-21T17:30", zone="Europe/Berlin", to=["America/New_York", "UTC", "+05:30"])
    assert [moment["iso"] for moment in told["moments"]] == [
        "2026-11-21T11:30:00-05:00",
        "2026-11-21T16:30:00+00:00",
        "2026-11-21T22:00:00+05:30",
    ]
    assert told["moments"][0]["abbreviation"] == "EST"


def test_now_is_now_and_fits_its_schema() -> None:
    before = datetime.now(UTC).timestamp()
    told = call("now", zone="Asia/Tokyo")
    assert before <= told["unix_seconds"] <= datetime.now(UTC).timestamp()
    assert told["utc_offset"] == "+09:00"


@pytest.mark.parametrize(
    ("text", "form", "iso"),
    [
        ("2026-02-03", "", "2026-02-03T00:00:00+00:00"),
        ("2026-02-03T04:05:06Z", "", "2026-02-03T04:05:06+00:00"),
        ("@86400", "", "1970-01-02T00:00:00+00:00"),
        ("Tue, 03 Feb 2026 04:05:06 +0100", "", "2026-02-03T03:05:06+00:00"),
        ("03.02.2026 4:05", "%d.%m.%Y %H:%M", "2026-02-03T04:05:00+00:00"),
    ],
)
def test_dates_are_read_in_their_forms(text: str, form: str, iso: str) -> None:
    assert call("parse", text=text, format=form)["iso"] == iso


@pytest.mark.parametrize("text", ["tomorrow", "2026-13-01", "@1e99", "@nan", "", "99999-01-01", "\0"])
def test_what_is_no_date_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ToolError, match="ISO 8601"):
        zone_and_moment(text, "UTC")


@pytest.mark.parametrize(
    ("text", "form", "iso"),
    [
        ("2026-01-01 12:00 GMT", "%Y-%m-%d %H:%M %Z", "2026-01-01T13:00:00+01:00"),
        ("12:00 utc 2026-01-01", "%H:%M %Z %Y-%m-%d", "2026-01-01T13:00:00+01:00"),
        ("2026-01-01 12:00 UTC+03:00", "%Y-%m-%d %H:%M %Z%z", "2026-01-01T10:00:00+01:00"),
        ("2026-01-01 12:00 %Z", "%Y-%m-%d %H:%M %%Z", "2026-01-01T12:00:00+01:00"),
        ("Mon, 20 Nov 1995 19:12:08 EST", "", "1995-11-21T01:12:08+01:00"),
        ("Mon, 20 Nov 1995 19:12:08 -0000", "", "1995-11-20T20:12:08+01:00"),
        ("Monday, 20 November 1995 19:12:08", "", "1995-11-20T19:12:08+01:00"),
    ],
)
def test_the_zone_that_a_text_names_is_taken(text: str, form: str, iso: str) -> None:
    assert zone_and_moment(text, "Europe/Berlin", form)[0].isoformat() == iso


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("Mon, 20 Nov 1995 19:12:08 CET", ""),
        ("Mon, 20 Nov 1995 07:12:08 PM", ""),
        ("2026-01-01 12:00 CET", "%Y-%m-%d %H:%M %Z"),
        ("11", "%d%d"),
    ],
)
def test_a_zone_or_a_form_that_is_not_understood_is_refused(text: str, form: str) -> None:
    with pytest.raises(ToolError, match="does not fit"):
        zone_and_moment(text, "UTC", form)


def test_the_name_of_the_zone_of_this_machine_is_no_known_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    tzset()
    try:
        with pytest.raises(ToolError, match="only UTC and GMT"):
            zone_and_moment("2026-01-01 12:00 CET", "UTC", "%Y-%m-%d %H:%M %Z")
    finally:
        monkeypatch.undo()
        tzset()


def test_a_local_time_that_was_skipped_or_came_twice_is_said_so() -> None:
    moment, note = zone_and_moment("2026-03-29T02:30", "Europe/Berlin")
    assert moment.isoformat() == "2026-03-29T03:30:00+02:00"
    assert note is not None
    assert "did not exist" in note
    moment, note = zone_and_moment("2026-10-25T02:30", "Europe/Berlin")
    assert moment.isoformat() == "2026-10-25T02:30:00+02:00"
    assert note is not None
    assert "came twice" in note


@pytest.mark.parametrize("name", ["Europe/Berln", "../../etc/passwd", "/etc/localtime", "Europe", "+25:00", "+1", "\0"])
def test_a_zone_that_there_is_not_is_refused(name: str) -> None:
    with pytest.raises(ToolError, match=r"no time zone|no offset"):
        zone_of(name)


def test_a_city_finds_its_zone() -> None:
    assert "America/New_York" in find_zones("new york")
    with pytest.raises(ToolError, match="Europe/Berlin"):
        zone_of("berlin")


def test_spans_go_by_the_calendar_or_elapse() -> None:
    assert call("add", time="2026-01-31", months=1)["iso"] == "2026-02-28T00:00:00+00:00"
    assert call("add", time="2024-02-29", years=1)["iso"] == "2025-02-28T00:00:00+00:00"
    summer = "2026-03-28T12:00"
    assert call("add", time=summer, zone="Europe/Berlin", days=1)["iso"] == "2026-03-29T12:00:00+02:00"
    assert call("add", time=summer, zone="Europe/Berlin", hours=24)["iso"] == "2026-03-29T13:00:00+02:00"
    assert call("add", time="2026-03-01", days=-1)["iso"] == "2026-02-28T00:00:00+00:00"


@pytest.mark.parametrize("unit", ["years", "months", "weeks", "days", "hours", "seconds"])
def test_a_span_out_of_the_calendar_is_refused(unit: str) -> None:
    with pytest.raises(ToolError, match="out of range"):
        add(at("9999-12-31T23:59:59"), {**NOTHING, unit: 10_000_000_000})


def test_the_difference_is_told_elapsed_by_calendar_and_in_working_days() -> None:
    told = call("difference", start="2026-11-20T12:00", end="2027-01-25T13:30")
    assert told["words"] == "2 months, 5 days, 1 hour, 30 minutes"
    assert (told["calendar_days"], told["working_days"], told["negative"]) == (66, 46, False)
    back = call("difference", start="2027-01-25T13:30", end="2026-11-20T12:00")
    assert (back["seconds"], back["words"]) == (-told["seconds"], f"minus {told['words']}")


def test_an_hour_that_the_clocks_show_twice_has_elapsed() -> None:
    zone = "Europe/Berlin"
    told = call("difference", start="2026-10-25T02:30:00+02:00", end="2026-10-25T02:10:00+01:00", zone=zone)
    assert (told["seconds"], told["words"]) == (2_400, "40 minutes")
    told = call("difference", start="2026-10-25T00:00", end="2026-10-25T12:00", zone=zone)
    assert told["words"] == "13 hours"
    told = call("difference", start="2026-10-24T02:30", end="2026-10-25T02:10:00+01:00", zone=zone)
    assert told["words"] == "1 day, 40 minutes"
    told = call("difference", start="2026-03-28T02:30", end="2026-03-29T03:10", zone=zone)
    assert told["words"] == "23 hours, 40 minutes"


BERLIN = st.datetimes(
    min_value=datetime(2026, 3, 27),  # noqa: DTZ001
    max_value=datetime(2026, 10, 27),  # noqa: DTZ001
    timezones=st.just(UTC),
)


@given(BERLIN, BERLIN)
def test_a_difference_over_a_change_of_the_clocks_added_to_its_start_is_its_end(start: datetime, end: datetime) -> None:
    moments = (moment.replace(microsecond=0) for moment in sorted((start, end)))
    first, last = (moment.astimezone(zone_of("Europe/Berlin")) for moment in moments)
    added = add(first, {**NOTHING, **difference(first, last)["calendar"]})[0]
    assert added.timestamp() == last.timestamp()


MOMENTS = st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


@given(MOMENTS, MOMENTS)
def test_a_difference_added_to_its_start_is_its_end(start: datetime, end: datetime) -> None:
    first, last = sorted((start.replace(microsecond=0), end.replace(microsecond=0)))
    calendar = difference(first, last)["calendar"]
    assert add(first, {**NOTHING, **calendar})[0] == last


@pytest.mark.parametrize(
    ("expression", "after", "expected"),
    [
        ("30 8 * * mon-fri", "2026-11-20T08:30", ["2026-11-23T08:30", "2026-11-24T08:30"]),
        ("*/20 12 * * *", "2026-11-20T12:05", ["2026-11-20T12:20", "2026-11-20T12:40"]),
        ("0 0 29 2 *", "2026-01-01", ["2028-02-29T00:00", "2032-02-29T00:00"]),
        ("0 0 13 * fri", "2026-11-01", ["2026-11-06T00:00", "2026-11-13T00:00"]),
        ("@yearly", "2026-11-01", ["2027-01-01T00:00", "2028-01-01T00:00"]),
        ("0 0 1 jan,7 *", "2026-02-01", ["2026-07-01T00:00", "2027-01-01T00:00"]),
        ("0 12 * * 7", "2026-11-21", ["2026-11-22T12:00", "2026-11-29T12:00"]),
    ],
)
def test_cron_says_when_it_comes_next(expression: str, after: str, expected: list[str]) -> None:
    found = Cron(expression).after(at(after), 2)
    assert [moment.isoformat()[:16] for moment in found] == expected


def test_cron_leaves_out_a_time_that_the_clocks_skip() -> None:
    found = Cron("30 2 * * *").after(at("2026-03-28T12:00", "Europe/Berlin"), 1)
    assert [moment.isoformat() for moment in found] == ["2026-03-30T02:30:00+02:00"]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("*/10 * * * *", ["02:20:00+01:00", "02:30:00+01:00"]),
        ("@hourly", ["03:00:00+01:00", "04:00:00+01:00"]),
        ("20 2,4 * * *", ["04:20:00+01:00", "02:20:00+01:00"]),
    ],
)
def test_cron_with_a_star_goes_on_in_an_hour_that_comes_again(expression: str, expected: list[str]) -> None:
    found = Cron(expression).after(at("2026-10-25T02:10:00+01:00", "Europe/Berlin"), 2)
    assert [moment.isoformat()[11:] for moment in found] == expected


def test_cron_tells_the_times_of_both_hours_in_order() -> None:
    found = Cron("*/30 * * * *").after(at("2026-10-25T02:10:00+02:00", "Europe/Berlin"), 4)
    expected = ["02:30:00+02:00", "02:00:00+01:00", "02:30:00+01:00", "03:00:00+01:00"]
    assert [moment.isoformat()[11:] for moment in found] == expected


@pytest.mark.parametrize(
    "expression", ["", "* * * *", "60 * * * *", "* * * * 8", "5-1 * * * *", "*/0 * * * *", "a b c d e"]
)
def test_what_is_no_cron_expression_is_refused(expression: str) -> None:
    with pytest.raises(ToolError):
        Cron(expression)


def test_a_cron_expression_that_never_comes_says_so() -> None:
    with pytest.raises(ToolError, match="30 years"):
        call("next", cron="0 0 31 2 *")


def test_the_next_weekday_keeps_the_time_and_is_never_today() -> None:
    found = next_weekdays("friday", at("2026-11-20T09:00"), 2)
    assert [moment.isoformat()[:16] for moment in found] == ["2026-11-27T09:00", "2026-12-04T09:00"]
    with pytest.raises(ToolError, match="no weekday"):
        next_weekdays("t", at("2026-11-20"), 1)


def test_exactly_one_of_weekday_and_cron_is_taken() -> None:
    for arguments in ({}, {"weekday": "monday", "cron": "* * * * *"}):
        with pytest.raises(ToolError, match="exactly one"):
            call("next", **arguments)


@pytest.mark.parametrize("form", ["%999999999Y", "%-d", "%E", "%", "%k"])
def test_a_format_with_a_width_or_an_unknown_directive_is_refused(form: str) -> None:
    with pytest.raises(ToolError, match="not known"):
        format_moment(at("2026-11-20"), form)


def test_a_format_writes_a_date() -> None:
    assert call("format", time="2026-11-20", format="%A, %d %B %Y 100%%")["text"] == "Friday, 20 November 2026 100%"


def test_the_year_of_a_week_may_be_another() -> None:
    assert tell_moment(at("2027-01-01"), "UTC")["iso_week"] == "2026-W53"
