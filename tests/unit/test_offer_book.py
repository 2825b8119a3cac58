"""Whose a resource is, and what is left of a server that is gone."""

from __future__ import annotations

from muxi_runtime.gateway.offers import OfferBook

MINE = {"uri": "notes://today", "name": "today"}


def test_what_several_list_belongs_to_the_first_server_of_the_catalog_not_to_who_answers_first() -> None:
    book = OfferBook()
    for server in ("notes", "newcomer"):
        book.expect(server)
    book.put("newcomer", "resources", [MINE])
    book.put("notes", "resources", [MINE])
    assert book.owner("notes://today") == "notes"


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
