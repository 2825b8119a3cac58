"""Whose a resource is, and what is left of a server that is gone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from muxi_runtime.catalog.pins import PinKind
from muxi_runtime.gateway.offers import OfferBook

MINE = {"uri": "notes://today", "name": "today"}


def test_what_several_list_belongs_to_the_first_server_of_the_catalog_not_to_who_answers_first() -> None:
    book = OfferBook()
    for server in ("notes", "newcomer"):
        book.expect(server)
    book.put("newcomer", "resources", [MINE])
    book.put("notes", "resources", [MINE])
    assert book.owner("notes://today") == "notes"


def test_a_template_that_is_blocked_is_not_offered_and_comes_back_when_it_is_accepted() -> None:
    accepted = {"notes://{day}"}

    def judge(_server: str, definitions: Sequence[Any], kind: PinKind) -> dict[str, str]:
        assert kind is PinKind.TEMPLATE
        return {d["uriTemplate"]: "new" for d in definitions if d["uriTemplate"] not in accepted}

    book = OfferBook(judge)
    book.put("notes", "templates", [{"uriTemplate": "notes://{day}"}, {"uriTemplate": "diary://{day}"}, {"name": "x"}])
    assert [template["uriTemplate"] for template in book.servers["notes"].templates] == ["notes://{day}"]
    assert (book.owner("diary://today"), book.blocked("notes", "templates")) == (None, {"diary://{day}": "new"})
    accepted.add("diary://{day}")
    book.judge_again()
    assert book.owner("diary://today") == "notes"


def test_nothing_is_left_of_a_server_that_is_removed_and_clients_are_told() -> None:
    book, told = OfferBook(), []
    book.put("notes", "resources", [MINE])
    book.put("notes", "prompts", [{"name": "ask"}])
    book.on_change(told.append)
    book.remove("notes")
    assert (book.owner("notes://today"), dict(book.servers)) == (None, {})
    assert told == ["prompts", "resources"]
    book.remove("notes")
    assert told == ["prompts", "resources"]
