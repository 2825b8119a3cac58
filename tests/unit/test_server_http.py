"""What the http server asks for, and what it makes of answers."""

from __future__ import annotations

import base64
import json
from types import SimpleNamespace
from typing import Any

import pytest

from muxi_servers.http.asking import check_may_send, make_request
from muxi_servers.http.credentials import Credentials, mask
from muxi_servers.http.replies import to_result
from muxi_servers.kit.errors import ToolError

NO_ENCODINGS = (
    "punycode",
    "idna",
    "undefined",
    "unicode_escape",
    "utf-7",
    "zlib",
    "no-such-thing",
    "a\0b",
    "x" * 9_000,
)
PLACEHOLDER = "muxi-secret-" + "0a" * 16


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("API_KEY", PLACEHOLDER)
    return "API_KEY"


def made(**arguments: Any) -> Any:
    return make_request("GET", {"url": "https://api.test/v1?a=1", "headers": {}, "query": {}, "auth": {}, **arguments})[
        0
    ]


def test_query_and_headers_are_written_as_they_should() -> None:
    request = made(query={"q": "a&b ü", "n": 5, "all": True}, headers={"X-Version": 2})
    assert str(request.url) == "https://api.test/v1?a=1&q=a%26b+%C3%BC&n=5&all=true"
    assert request.headers == [("X-Version", "2")]


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "other.test"},
        {"content-length": "0"},
        {"Transfer-Encoding": "chunked"},
        {"Proxy-Authorization": "x"},
        {"X-Muxi-Rule": "x"},
        {"Bad Name": "x"},
        {"": "x"},
        {"X-A": "a\r\nX-B: b"},
        {"X-A": "a\0"},
        {"X-A": "a" * 9000},
        {"X-A": "日本"},
    ],
)
def test_headers_of_the_connection_and_broken_ones_are_refused(headers: dict[str, str]) -> None:
    with pytest.raises(ToolError):
        made(headers=headers)


@pytest.mark.parametrize(
    ("auth", "header"),
    [
        ({"secret": "API_KEY"}, ("Authorization", f"Bearer {PLACEHOLDER}")),
        ({"secret": "API_KEY", "scheme": "header", "name": "X-Key"}, ("X-Key", PLACEHOLDER)),
        (
            {"secret": "API_KEY", "scheme": "basic", "user": "me"},
            ("Authorization", "Basic " + base64.b64encode(f"me:{PLACEHOLDER}".encode()).decode()),
        ),
    ],
)
def test_a_secret_goes_where_the_call_says(key: str, auth: dict[str, str], header: tuple[str, str]) -> None:
    request = made(auth=auth)
    assert request.headers == [header]
    assert key in Credentials(auth).words
    assert PLACEHOLDER not in Credentials(auth).words


def test_a_secret_in_the_query_is_masked_in_what_is_shown(key: str) -> None:
    request = made(auth={"secret": key, "scheme": "query", "name": "token"})
    assert str(request.url).endswith(f"&token={PLACEHOLDER}")
    assert mask(str(request.url)).endswith("&token=[secret API_KEY]")


@pytest.mark.parametrize(
    ("auth", "why"),
    [
        ({"secret": "OTHER"}, "no secret 'OTHER'; it has: API_KEY"),
        ({"secret": "PATH"}, "no secret 'PATH'"),
        ({"secret": "API_KEY", "scheme": "header"}, "auth.name is missing"),
        ({"secret": "API_KEY", "scheme": "header", "name": "Host"}, "connection's own"),
        ({"secret": "API_KEY", "scheme": "header", "name": "a\r\nb"}, "no name of a header"),
    ],
)
@pytest.mark.usefixtures("key")
def test_what_is_wrong_with_auth_is_said(auth: dict[str, str], why: str) -> None:
    with pytest.raises(ToolError, match=why):
        made(auth=auth)


@pytest.mark.usefixtures("key")
def test_a_header_is_not_set_twice() -> None:
    with pytest.raises(ToolError, match="set in headers and by auth"):
        made(auth={"secret": "API_KEY"}, headers={"authorization": "mine"})


def test_nothing_is_sent_until_the_operator_allows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_SEND", "")
    with pytest.raises(ToolError, match=r"servers\.http\.environment\.HTTP_SEND: allow"):
        check_may_send()
    monkeypatch.setenv("HTTP_SEND", "allow")
    check_may_send()


def reply(
    body: bytes,
    media_type: str = "application/json",
    *,
    auth: dict[str, str] | None = None,
    charset: str = "",
    **more: Any,
) -> Any:
    fields: dict[str, Any] = {"status": 200, "reason": "OK", "headers": {}, "is_whole": True, **more}
    answer: Any = SimpleNamespace(
        body=body, size=len(body), media_type=media_type, parameter=lambda _: charset, **fields
    )
    return to_result(made(), answer, Credentials(auth or {}))


def test_json_is_taken_apart_and_anything_else_is_text() -> None:
    assert reply(b'{"a": [1]}').structured["json"] == {"a": [1]}
    for body in (b"{", b"[NaN]", b'{"a": 1e999}', b"[-1e400]", b"[" * 100_000, b"[" * 50 + b"]" * 50):
        told = reply(body).structured
        assert told["json"] is None
        assert told["text"] == body.decode()
    assert reply(b'{"a": 1}', is_whole=False).structured["json"] is None
    assert reply(b"a,b", "text/csv").structured["text"] == "a,b"


@pytest.mark.parametrize(
    ("charset", "body", "shown"),
    [
        ("ISO-8859-1", b"gr\xfcn", "grün"),
        ("Shift_JIS", b"\x93\xfa", "日"),
        ("utf-8", b"gr\xfcn", "gr\ufffdn"),
        ("", "grün-".encode(), "grün-"),
        *((name, "grün-+AG0-\\x41".encode(), "grün-+AG0-\\x41") for name in NO_ENCODINGS),
    ],
)
def test_an_answer_chooses_among_the_encodings_of_text(charset: str, body: bytes, shown: str) -> None:
    assert reply(body, "text/plain", charset=charset).structured["text"] == shown


def test_a_placeholder_that_comes_back_is_shown_by_its_name(key: str) -> None:
    result = reply(
        json.dumps({"got": PLACEHOLDER}).encode(), headers={"location": f"/x?{PLACEHOLDER}", "set-cookie": "a"}
    )
    shown = json.dumps(result.structured) + json.dumps(result.content)
    assert PLACEHOLDER not in shown
    assert result.structured["json"] == {"got": f"[secret {key}]"}
    assert "set-cookie" not in result.structured["headers"]


@pytest.mark.usefixtures("key")
def test_a_refused_credential_is_named_and_not_shown() -> None:
    result = reply(b"{}", status=401, reason="Unauthorized", auth={"secret": "API_KEY"})
    assert result.is_error
    said = result.content[0]["text"]
    assert "does not accept the secret API_KEY in the header Authorization" in said
    assert PLACEHOLDER not in said
    assert "This server has: API_KEY" in reply(b"{}", status=401, reason="Unauthorized").content[0]["text"]
