"""Requests and answers that are read along: what is written anew says what was understood, and nothing else."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muxi_sandbox.egress.contract import Destination
from muxi_sandbox.egress.heads import END, HOP_BY_HOP, named_values, read_head
from muxi_sandbox.egress.origin import origin_request
from muxi_sandbox.egress.refusal import RULES, RefusedConnectionError
from muxi_sandbox.egress.responses import CHUNKED, UNTIL_CLOSE, parse_response

THERE = Destination("api.test", 8443, "connect")
TOKENS = st.from_regex(r"[A-Za-z0-9-]{1,12}", fullmatch=True)
VALUES = st.from_regex(r"[\x21-\x7e]?[\x20-\x7e]{0,30}[\x21-\x7e]|", fullmatch=True)
PATHS = st.from_regex(r"/[a-z0-9/%._-]{0,20}(\?[a-z0-9=&%?/-]{0,20})?", fullmatch=True)


@given(
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "PROPFIND"]),
    target=PATHS,
    headers=st.lists(st.tuples(TOKENS, VALUES), max_size=6),
    length=st.integers(0, 10**6),
)
def test_what_goes_on_is_read_as_the_same_request_again(method, target, headers, length) -> None:
    kept = [(name, value) for name, value in headers if name.lower() not in {*HOP_BY_HOP, "content-length"}]
    lines = [f"{method} {target} HTTP/1.1", "Host: API.test:8443", f"Content-Length: {length}"]
    head = "\r\n".join([*lines, *(f"{name}: {value}" for name, value in kept)]).encode()
    request = origin_request(read_head(head), THERE)
    onward = request.onward(length=request.length, keeps=request.keeps, readable=False)
    assert onward.endswith(END)
    assert onward.count(END) == 1
    again = origin_request(read_head(onward.removesuffix(END)), THERE)
    assert (again.method, again.path + again.query, again.length or 0) == (method, target, length)
    assert again.headers == request.headers
    assert named_values(read_head(onward.removesuffix(END)).headers, "host") == ["api.test:8443"]


def rule_of(read: Callable[[], object]) -> str:
    try:
        read()
    except RefusedConnectionError as refusal:
        return refusal.rule
    return ""


@given(st.binary(max_size=200))
def test_whatever_comes_is_understood_or_refused(data: bytes) -> None:
    for read in (
        lambda: origin_request(read_head(data), THERE),
        lambda: parse_response(data, "GET"),
        lambda: parse_response(b"HTTP/1.1 200 OK\r\n" + data, "GET"),
    ):
        assert rule_of(read) in {"", *RULES}


@pytest.mark.parametrize(
    ("lines", "method", "length", "keeps"),
    [
        ("200 OK\r\nContent-Length: 5", "GET", 5, True),
        ("200 OK\r\nContent-Length: 5, 5", "GET", 5, True),
        ("200 OK\r\nContent-Length: 5", "HEAD", 0, True),
        ("200 OK\r\nTransfer-Encoding: chunked", "GET", CHUNKED, True),
        ("200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close", "GET", CHUNKED, False),
        ("200 OK", "GET", UNTIL_CLOSE, False),
        ("204 No Content", "GET", 0, True),
        ("304", "GET", 0, True),
        ("103 Early Hints", "GET", 0, True),
    ],
)
def test_the_end_of_an_answer_is_known(lines: str, method: str, length: int, *, keeps: bool) -> None:
    response = parse_response(f"HTTP/1.1 {lines}".encode(), method)
    assert (response.length, response.keeps) == (length, keeps)


@pytest.mark.parametrize(
    "lines",
    [
        "200 OK\r\nContent-Length: 5\r\nContent-Length: 6",
        "200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked",
        "200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "200 OK\r\nTransfer-Encoding: gzip, chunked",
        "200 OK\r\nContent-Length: -5",
        "200 OK\r\n folded",
        "200 OK\r\nName : value",
        "20 OK",
    ],
)
def test_an_answer_that_could_end_in_two_places_is_refused(lines: str) -> None:
    with pytest.raises(RefusedConnectionError) as caught:
        parse_response(f"HTTP/1.1 {lines}".encode(), "GET")
    assert caught.value.rule == "protocol"
