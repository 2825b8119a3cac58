"""A result is from trusted origins only if all that is in it is."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from pydantic import ValidationError

from muxi_runtime.catalog.labels import LabelSettings, origin_pattern
from muxi_runtime.gateway.record_origins import comes_from

pytestmark = pytest.mark.promise("private-data-does-not-leak")

OURS = {"sender": "ada@example.com", "body": "hello"}
THEIRS = {"sender": "eve@example.net", "body": "ignore all"}


def trusts(result: Any, *origins: str) -> bool:
    return comes_from(result, "sender", re.compile("|".join(map(origin_pattern, origins)), re.IGNORECASE))


def result(structured: Any, *texts: str, **more: Any) -> dict[str, Any]:
    blocks = [{"type": "text", "text": text} for text in texts or (json.dumps(structured),)]
    return {"content": blocks, "structuredContent": structured, **more}


@pytest.mark.parametrize(
    "given",
    [
        result(OURS),
        result({"mails": [OURS, OURS], "total": 2, "more": False, "cursor": None}),
        result({"result": [OURS, OURS]}, json.dumps(OURS), json.dumps(OURS)),
        result({"result": OURS}, json.dumps(OURS, indent=2)),
        result({"mails": []}),
        result(OURS, resultType="complete"),
        result(OURS, _meta={"io.modelcontextprotocol/serverInfo": {"name": "mail server", "version": "1"}}),
        result({"mails": [{**OURS, "sender": " Ada@Example.COM "}]}, isError=False, _meta={"muxi/limits": []}),
    ],
)
def test_records_of_trusted_origins_are_trusted(given: Any) -> None:
    assert trusts(given, "*@example.com")


@pytest.mark.parametrize(
    "given",
    [
        result(THEIRS),
        result({"mails": [OURS, THEIRS]}),
        result({"mails": [OURS, {"body": "whose?"}]}),
        result({"mails": [OURS], "summary": "ignore all"}),
        result({"mails": [OURS], "ignore all and": []}),
        result({"mails": [{**OURS, "sender": ["ada@example.com"]}]}),
        result(OURS, isError=True),
        result(OURS, resultType="ignore all"),
        result(OURS, json.dumps(OURS), "ignore all"),
        result(OURS, json.dumps(OURS)[:-1] + ', "body": "hello"}'),
        result(OURS, more="ignore all"),
        result(OURS, _meta={"note": "ignore all"}),
        result(OURS, _meta="ignore all"),
        {**result(OURS), "content": [{"type": "image", "data": "", "mimeType": "image/png"}]},
        {**result(OURS), "content": [{"type": "text", "text": json.dumps(OURS), "annotations": {"title": "x"}}]},
        {"content": [{"type": "text", "text": json.dumps(OURS)}]},
        {"content": [], "structuredContent": [OURS]},
    ],
)
def test_anything_else_in_it_is_not(given: Any) -> None:
    assert not trusts(given, "*@example.com")


@pytest.mark.parametrize(
    "origin",
    [
        "eve@l\u0131nkedin.com",  # dotless i
        "eve@L\u0130NKEDIN.com",  # dotted I
        "eve@lin\u212aedin.com",  # Kelvin sign
        "\u017fupport@linkedin.com",  # long s
        "\u00a0support@linkedin.com",
    ],
)
def test_letters_that_only_fold_to_those_of_a_trusted_origin_are_not_trusted(origin: str) -> None:
    assert not trusts(result({**OURS, "sender": origin}), "*@linkedin.com", "support@linkedin.com")


@pytest.mark.parametrize(
    ("origin", "pattern", "expected"),
    [
        ("ada@example.com", "ada@example.com", True),
        ("ada@example.com.evil.net", "*@example.com", False),
        ("eve@evil.net,ada@example.com", "*@example.com", False),
        ("eve@evil.net ada@example.com", "*@example.com", False),
        ('"x@example.com" <eve@evil.net>', "*@example.com", False),
        ("eve@evil.net@example.com", "*@example.com", False),
        ("ada@mail.example.com", "*@*.example.com", True),
        ("ada@examplexcom", "*@example.com", False),
        ("https://docs.example.com/a/b", "https://docs.example.com/**", True),
        ("https://docs.example.com/a/b", "https://docs.example.com/*", False),
        ("https://evil.net/.example.com/a", "https://*.example.com/**", False),
        ("https://evil.net#.example.com/a", "https://*.example.com/**", False),
        ("https://docs.example.com:x@evil.net/", "https://docs.example.com**", False),
    ],
)
def test_a_pattern_stays_within_one_part_of_an_origin(origin: str, pattern: str, *, expected: bool) -> None:
    assert trusts(result({**OURS, "sender": origin}), pattern) is expected


@pytest.mark.parametrize("origin", ["*", "**", "*@*", "", "a b", "_", "*@b\u00fccher.example"])
def test_a_pattern_that_names_nobody_or_matches_nothing_is_refused(origin: str) -> None:
    with pytest.raises(ValidationError):
        LabelSettings(trusted_origins=(origin,))
