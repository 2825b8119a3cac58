"""The tools of the `time` server."""

from __future__ import annotations

from muxi_servers.kit.content import ToolResult, text
from muxi_servers.kit.errors import ToolError
from muxi_servers.kit.server import Server
from muxi_servers.kit.tools import Tool, arguments_schema, object_schema
from muxi_servers.time.moments import MOMENT, format_moment, tell_moment, tell_words, zone_and_moment
from muxi_servers.time.schedule import Cron, next_weekdays
from muxi_servers.time.spans import DIFFERENCE, add, difference
from muxi_servers.time.zones import find_zones, zone_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from muxi_servers.kit.call import Call
    from muxi_servers.kit.launch import Launcher
    from muxi_servers.kit.tools import Function
    from muxi_servers.kit.workspace import Workspace

__all__ = ["build"]

_INFO = {"name": "muxi-time", "title": "Time", "version": "0.1.0"}
_INSTRUCTIONS = (
    "Clocks and calendars. A time is ISO 8601 (2026-11-21T17:30), a date, `now`, or @ and Unix seconds; a zone is an "
    "IANA name such as Europe/Berlin, UTC, or an offset such as +02:00."
)
_TIME: dict[str, Any] = {"type": "string", "minLength": 1, "maxLength": 100}
_ZONE: dict[str, Any] = {"type": "string", "minLength": 1, "maxLength": 60, "default": "UTC"}
_FORMAT: dict[str, Any] = {"type": "string", "maxLength": 200}
_MOMENTS = {"type": "array", "items": MOMENT}
_MAX_SPAN = 10_000_000_000
_MAX_ZONES = 600
_UNITS = ("years", "months", "weeks", "days", "hours", "minutes", "seconds")
_WHOLE_UNITS = _UNITS[:4]


def build(launcher: Launcher, workspace: Workspace) -> Server:
    """The server, ready to serve. It starts no programs and has no use for a workspace."""
    del launcher, workspace
    return Server(_INFO, _INSTRUCTIONS, [*_moment_tools(), *_span_tools(), *_list_tools()])


def _now(_: Call, arguments: dict[str, Any]) -> ToolResult:
    return _moment_result("now", arguments["zone"])


def _convert(_: Call, arguments: dict[str, Any]) -> ToolResult:
    moment, note = zone_and_moment(arguments["time"], arguments["zone"])
    moments = [tell_moment(_in_zone(moment, name), name, note) for name in arguments["to"]]
    return ToolResult([text("\n".join(map(tell_words, moments)))], {"moments": moments})


def _parse(_: Call, arguments: dict[str, Any]) -> ToolResult:
    return _moment_result(arguments["text"], arguments["zone"], arguments["format"])


def _format(_: Call, arguments: dict[str, Any]) -> ToolResult:
    moment, _note = zone_and_moment(arguments["time"], arguments["zone"])
    told = format_moment(moment, arguments["format"])
    return ToolResult([text(told)], {"text": told})


def _difference(_: Call, arguments: dict[str, Any]) -> ToolResult:
    start, _note = zone_and_moment(arguments["start"], arguments["zone"])
    end, _note = zone_and_moment(arguments["end"], arguments["zone"])
    told = difference(start, end)
    return ToolResult([text(f"{told['words']} ({told['seconds']:g} s)")], told)


def _add(_: Call, arguments: dict[str, Any]) -> ToolResult:
    start, _note = zone_and_moment(arguments["time"], arguments["zone"])
    moment, note = add(start, {unit: arguments[unit] for unit in _UNITS})
    told = tell_moment(moment, arguments["zone"], note)
    return ToolResult([text(tell_words(told))], told)


def _next(_: Call, arguments: dict[str, Any]) -> ToolResult:
    name, cron = arguments["weekday"], arguments["cron"]
    if bool(name) == bool(cron):
        raise ToolError("Give exactly one of weekday and cron.")
    after, _note = zone_and_moment(arguments["after"], arguments["zone"])
    count = int(arguments["count"])
    found = next_weekdays(name, after, count) if name else Cron(cron).after(after, count)
    if not found:
        raise ToolError(f"{cron[:60]!r} does not come within 30 years.")
    moments = [tell_moment(moment, arguments["zone"]) for moment in found]
    return ToolResult([text("\n".join(map(tell_words, moments)))], {"moments": moments})


def _zones(_: Call, arguments: dict[str, Any]) -> ToolResult:
    found = find_zones(arguments["search"])
    return ToolResult([text("\n".join(found) or "[none]")], {"zones": found[:_MAX_ZONES], "total": len(found)})


def _moment_result(value: str, zone: str, form: str = "") -> ToolResult:
    told = tell_moment(*_named(value, zone, form))
    return ToolResult([text(tell_words(told))], told)


def _named(value: str, zone: str, form: str) -> tuple[Any, str, str | None]:
    moment, note = zone_and_moment(value, zone, form)
    return moment, zone, note


def _in_zone(moment: Any, name: str) -> Any:  # noqa: ANN401 - a datetime, whose module the zones import
    zone = zone_of(name)
    try:
        return moment.astimezone(zone)
    except OverflowError:
        raise ToolError(f"That time is out of range in {name}: years go from 1 to 9999.") from None


def _look(
    name: str,
    function: Function,
    title: str,
    description: str,
    arguments: dict[str, Any],
    output: dict[str, Any],
    *,
    idempotent: bool = True,
) -> Tool:
    return Tool(
        name,
        function,
        title=title,
        description=description,
        arguments=arguments,
        output=output,
        read_only=True,
        idempotent=idempotent,
    )


def _moment_tools() -> list[Tool]:
    names = {"type": "array", "items": _ZONE, "minItems": 1, "maxItems": 20, "description": "zones to show it in"}
    form = {
        **_FORMAT,
        "default": "",
        "description": "as strptime has it, such as %d.%m.%Y; empty: ISO 8601 and the like",
    }
    return [
        _look(
            "now",
            _now,
            "The time now",
            "The date and time now in a time zone, with weekday, week and offset.",
            arguments_schema(zone=_ZONE),
            MOMENT,
        ),
        _look(
            "convert",
            _convert,
            "Convert between zones",
            "The same moment in other time zones.",
            arguments_schema(time=_TIME, zone={**_ZONE, "description": "of the time, if it has no offset"}, to=names),
            object_schema({"moments": _MOMENTS}),
        ),
        _look(
            "parse",
            _parse,
            "Read a date",
            "Read a date or a time from text: ISO 8601, e-mail's form, Unix seconds (@...), or a format.",
            arguments_schema(text=_TIME, format=form, zone=_ZONE),
            MOMENT,
        ),
        _look(
            "format",
            _format,
            "Write a date",
            "A time in a format of strftime's, in English.",
            arguments_schema(
                time=_TIME, format={**_FORMAT, "minLength": 1, "description": "such as %A, %d %B %Y"}, zone=_ZONE
            ),
            object_schema({"text": {"type": "string"}}),
        ),
    ]


def _span_tools() -> list[Tool]:
    span = {"minimum": -_MAX_SPAN, "maximum": _MAX_SPAN, "default": 0}
    spans = {unit: {"type": "integer" if unit in _WHOLE_UNITS else "number", **span} for unit in _UNITS}
    return [
        _look(
            "difference",
            _difference,
            "Time between two",
            "How long from one time to another: elapsed, by the calendar, and in working days (Monday to Friday).",
            arguments_schema(start=_TIME, end=_TIME, zone=_ZONE),
            DIFFERENCE,
        ),
        _look(
            "add",
            _add,
            "Add a span",
            "A time later, or earlier with negative numbers. Years to days go by the calendar (31 January and a month "
            "is the last of February) and keep the time of day; hours to seconds elapse.",
            arguments_schema(time=_TIME, zone=_ZONE, **spans),
            MOMENT,
        ),
    ]


def _list_tools() -> list[Tool]:
    word = {"type": "string", "maxLength": 100, "default": ""}
    return [
        _look(
            "next",
            _next,
            "What comes next",
            "When a weekday (at the same time of day) or a cron expression of five fields comes next.",
            arguments_schema(
                weekday={**word, "description": "such as friday"},
                cron={**word, "description": "such as 30 8 * * mon-fri"},
                after={**_TIME, "default": "now"},
                zone=_ZONE,
                count={"type": "integer", "minimum": 1, "maximum": 50, "default": 1},
            ),
            object_schema({"moments": _MOMENTS}),
        ),
        _look(
            "zones",
            _zones,
            "Find time zones",
            "Names of time zones that have a word in them, such as a city or a continent.",
            arguments_schema(search={**word, "description": "empty: all"}),
            object_schema(
                {"zones": {"type": "array", "items": {"type": "string"}}, "total": {"type": "integer", "minimum": 0}}
            ),
        ),
    ]
