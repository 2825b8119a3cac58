"""The narrowest rules and lists of hosts under which what was seen would still go through.

Permits are made anew, one for each thing that somebody did; every `forbid` in force stays as it is, questions included.
What was refused is written down as a comment: whoever reads it decides. Names come from servers that nobody need trust,
so each goes into the text as a quoted Cedar string, and the whole is parsed before it is given out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from muxi_runtime.policy.observed import Count, Deed, Observed, Place, Use
from muxi_runtime.policy.questions import place as written_place
from muxi_runtime.policy.rules import RuleSet, parse_rules

__all__ = ["Proposal", "cedar_string", "learn"]

ACTIONS = {"Tool": "call_tool", "Resource": "read_resource", "Prompt": "get_prompt"}
PROFILE = "profile"
"""Stands for a rule where a server's list of hosts refused a connection."""
DAY = len("2026-01-01")


@dataclass(frozen=True, slots=True)
class Proposal:
    """What was learnt.

    Attributes:
        rules: the text of a Cedar file that can stand alone.
        hosts: by server, the hosts that it was let out to: a list for `servers.NAME.network.allow`.
        refused_hosts: by server, those that its list refused.
        permits: how many permits there are.
    """

    rules: str
    hosts: Mapping[str, tuple[str, ...]]
    refused_hosts: Mapping[str, tuple[str, ...]]
    permits: int


def learn(seen: Observed, rules: RuleSet) -> Proposal:
    """Propose, from what was seen and the rules in force."""
    deeds = [(deed, count) for deed, count in sorted(seen.deeds.items()) if count.done]
    places = [(place, count) for place, count in sorted(seen.places.items()) if count.done]
    permits = [_permit_deed(number, *item) for number, item in enumerate(deeds, 1)]
    permits += [_permit_place(number, *item) for number, item in enumerate(places, len(deeds) + 1)]
    before = len(permits) + 1
    permits += [_permit_use(number, *item) for number, item in enumerate(sorted(seen.uses.items()), before)]
    forbids = [rule.text for rule in rules.rules.values() if not rule.permits]
    parts = [
        "// What was seen, and nothing else, goes through. Read it before you use it: what nobody did yet is refused.",
        *permits,
        "// In force before, and kept.",
        *forbids,
        *_comments(seen),
    ]
    text = "\n\n".join(parts) + "\n"
    _, problems = parse_rules({"learned.cedar": text})
    if problems:
        raise AssertionError(f"what was learnt is no policy: {problems[0]}")  # a fault of ours, and nobody else's
    refused = [place for place, count in seen.places.items() if PROFILE in count.refusing and not count.done]
    return Proposal(text, _hosts(place for place, _ in places), _hosts(refused), len(permits))


def _permit_deed(number: int, deed: Deed, count: Count) -> str:
    asked = f", {count.approved} of them after a person approved" if count.approved else ""
    return _permit(
        f"seen-{number}-{deed.server}.{deed.name}"[:120],
        f"Seen {_times(count.done)}{asked}, {_days(count)}.",
        f"principal == User::{cedar_string(deed.user)}",
        ACTIONS[deed.kind],
        f"resource == {deed.kind}::{cedar_string(f'{deed.server}.{deed.name}')}",
    )


def _permit_place(number: int, place: Place, count: Count) -> str:
    host = written_place(place.host, place.port)
    text = _permit(
        f"seen-{number}-{place.server}-{host}"[:120],
        f"Seen {_times(count.done)}, {_days(count)}.",
        f"principal == User::{cedar_string(place.user)}",
        "connect",
        f"resource == Host::{cedar_string(host)}",
    )
    return f"{text[:-1]}\nwhen {{ context.server == Server::{cedar_string(place.server)} }};"


def _permit_use(number: int, use: Use, count: Count) -> str:
    place = use.place
    text = _permit(
        f"seen-{number}-{place.server}-{use.name}"[:120],
        f"Seen {_times(count.done)}, {_days(count)}.",
        f"principal == User::{cedar_string(place.user)}",
        "use_secret",
        f"resource == Secret::{cedar_string(use.name)}",
    )
    host = f"context.host == Host::{cedar_string(written_place(place.host, place.port))}"
    return f"{text[:-1]}\nwhen {{ context.server == Server::{cedar_string(place.server)} && {host} }};"


def _permit(name: str, reason: str, who: str, action: str, what: str) -> str:
    notes = f"@id({cedar_string(name)})\n@reason({cedar_string(reason)})\n"
    return f'{notes}permit (\n    {who},\n    action == Action::"{action}",\n    {what}\n);'


def _comments(seen: Observed) -> Iterator[str]:
    refused = [
        *(_refused(f"{deed.user} used {deed.server}.{deed.name}", count) for deed, count in sorted(seen.deeds.items())),
        *(
            _refused(f"{place.user}'s {place.server} connected to {written_place(place.host, place.port)}", count)
            for place, count in sorted(seen.places.items())
        ),
    ]
    lines = [line for line in refused if line]
    if lines:
        yield "\n".join(["// Refused, and not permitted here:", *lines])
    if seen.untold:
        yield f"// {_times(seen.untold)} something was decided whose name the journal does not have in full."


def _refused(what: str, count: Count) -> str:
    if not count.refused:
        return ""
    by = ", ".join(f"{rule} {_times(times)}" for rule, times in sorted(count.refusing.items()))
    # In quotes nothing of a name can end the comment.
    return f"//   {cedar_string(f'{what}: by {by}, {_days(count)}')}"


def _hosts(places: Iterable[Place]) -> dict[str, tuple[str, ...]]:
    found: dict[str, set[str]] = {}
    for place in places:
        found.setdefault(place.server, set()).add(written_place(place.host, place.port))
    return {server: tuple(sorted(hosts)) for server, hosts in sorted(found.items())}


def cedar_string(text: str) -> str:
    """Any text as a Cedar string literal on one line of ASCII."""
    return '"' + "".join(char if _is_plain(char) else f"\\u{{{ord(char):x}}}" for char in text) + '"'


def _is_plain(char: str) -> bool:
    return char.isascii() and char.isprintable() and char not in '"\\'


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _days(count: Count) -> str:
    first, last = count.first[:DAY], count.last[:DAY]
    return f"on {first}" if first == last else f"from {first} to {last}"
