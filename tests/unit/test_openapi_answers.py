"""Answers of APIs as results."""

from __future__ import annotations

from typing import Any

import pytest

from muxi_servers.kit.client.exchange import Answer
from muxi_servers.kit.client.urls import parse_url
from muxi_servers.kit.codec import encode
from muxi_servers.openapi.answers import Reply, failure
from muxi_servers.openapi.request import Request

REQUEST: Any = None  # a result of text says nothing of it


@pytest.mark.parametrize("body", [b'{"a": 1e999}', b"[-1e400]", b"[NaN]"])
def test_numbers_that_no_result_can_hold_are_text(body: bytes) -> None:
    answer = Answer(200, "OK", [("Content-Type", "application/json")])
    answer.body = body
    result = Reply(answer, {}).result(REQUEST)
    assert encode(result.structured)
    assert result.structured["data"] is None
    assert result.structured["text"] == body.decode()


def test_an_error_with_such_a_number_is_told_in_the_words_of_the_api() -> None:
    body = b'{"detail": {"left": 1e999}}'
    answer = Answer(400, "Bad Request", [("Content-Type", "application/problem+json")])
    answer.body = body
    request = Request("GET", parse_url("https://api.test/a"), [], None)
    assert '"left": 1e999' in failure(answer, request).content[0]["text"]
