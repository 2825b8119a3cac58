"""What reaches a terminal, what is taken from a command line, and which exit code a failure has."""

from __future__ import annotations

import base64
import io
import json
import unicodedata

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muxi_runtime import errors
from muxi_runtime.cli.arguments import collect
from muxi_runtime.cli.exit_codes import ExitCode
from muxi_runtime.cli.failures import exit_code, first_known, show
from muxi_runtime.cli.redaction import REDACTED, redacted
from muxi_runtime.cli.results import Saver, lines_of
from muxi_runtime.cli.terminal import printable
from muxi_runtime.cli.tool_names import full_name
from muxi_sandbox.errors import EngineUnavailableError, SandboxError

PIXEL = base64.b64encode(b"\x89PNG...").decode()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("näive 漢字 🙂", "näive 漢字 🙂"),
        ("a\tb\nc\r\nd", "a\tb\nc\nd"),
        ("\x1b[2J", "\\x1b[2J"),
        ("\x9b2J", "\\x9b2J"),
        ("over\rwritten", "over\\x0dwritten"),
        ("bell\x07del\x7f", "bell\\x07del\\x7f"),
        ("\u202egpj.exe", "\\u202egpj.exe"),
        ("zero\u200bwidth\ufeff", "zero\\u200bwidth\\ufeff"),
        ("tag\U000e0041", "tag\\U000e0041"),
        ("half\ud800", "half\\ud800"),
        ("line\u2028break", "line\\u2028break"),
    ],
)
def test_what_could_act_on_a_terminal_is_shown_as_its_escape(text, shown):
    assert printable(text) == shown


@given(st.text(st.characters()))
def test_nothing_active_ever_comes_through(text):
    shown = printable(text)
    assert {unicodedata.category(c) for c in shown if c not in "\n\t"}.isdisjoint({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
    shown.encode()


SCHEMA = {
    "properties": {
        "text": {"type": "string"},
        "count": {"type": "integer"},
        "maybe": {"anyOf": [{"type": "number"}, {"type": "null"}]},
        "either": {"type": ["integer", "string"]},
        "flag": {"type": "boolean"},
        "list": {"type": "array"},
        "any": {},
        "odd": {"anyOf": [{"type": "number"}, {"$ref": "#/x"}]},
    }
}


def test_arguments_are_read_as_the_schema_wants_them():
    texts = ["text=1", "count=2", "maybe=1.5", "either=3", "flag=true", 'list=["a"]', "any=4", "odd=5", "extra=6"]
    assert collect(SCHEMA, texts, [], None) == {
        "text": "1",
        "count": 2,
        "maybe": 1.5,
        "either": "3",
        "flag": True,
        "list": ["a"],
        "any": "4",
        "odd": "5",
        "extra": "6",
    }


def test_text_keeps_everything_behind_the_first_equals_sign():
    assert collect(SCHEMA, ["text= a = b\n", "any="], [], None) == {"text": " a = b\n", "any": ""}


def test_options_win_over_the_file_and_text_over_json():
    file = io.StringIO('{"a": 1, "b": 1, "c": 1}')
    assert collect({}, ["c=3"], ["b=2", "c=2"], file) == {"a": 1, "b": 2, "c": "3"}


@pytest.mark.parametrize(
    ("texts", "values", "file", "names"),
    [
        (["count=x"], [], None, ["--arg count", "integer"]),
        (["nothing"], [], None, ["--arg", "NAME=VALUE"]),
        (["=x"], [], None, ["--arg", "NAME=VALUE"]),
        (["a=1", "a=2"], [], None, ["--arg", "given twice"]),
        ([], ["a=nope"], None, ["--json-arg a", "not JSON"]),
        ([], ["a=NaN"], None, ["--json-arg a", "not JSON"]),
        ([], ["a=" + "[" * 100_000], None, ["--json-arg a"]),
        ([], [], "[1]", ["--args-file", "object"]),
        ([], [], "{", ["--args-file", "not JSON"]),
    ],
)
def test_an_argument_that_cannot_be_read_is_named(texts, values, file, names):
    with pytest.raises(click.BadParameter) as caught:
        collect(SCHEMA, texts, values, io.StringIO(file) if file else None)
    assert all(name in caught.value.format_message() for name in names)


schemas = st.recursive(
    st.none() | st.booleans() | st.text(max_size=5) | st.sampled_from(["string", "integer", "type", "anyOf"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "anyOf", "oneOf", "properties", "a"]), inner, max_size=3)
    ),
)


@given(st.dictionaries(st.sampled_from(["properties", "type"]), schemas), st.text(max_size=10))
def test_any_schema_of_an_untrusted_server_can_be_asked(schema, value):
    try:
        assert list(collect(schema, [f"a={value}"], [], None)) == ["a"]
    except click.BadParameter as refusal:
        assert "must be" in refusal.format_message()  # noqa: PT017 - only values that are no JSON may be refused


def test_a_result_is_shown_block_by_block(tmp_path):
    content = [
        {"type": "text", "text": "hi\x1b[0m"},
        {"type": "image", "data": PIXEL, "mimeType": "image/png"},
        {"type": "resource", "resource": {"uri": "file:///a", "text": "inner"}},
        {"type": "resource", "resource": {"uri": "file:///b", "blob": PIXEL, "mimeType": "../../etc"}},
        {"type": "resource_link", "name": "n", "uri": "file:///c"},
        {"type": "unheard-of", "x": 1},
    ]
    assert list(lines_of({"content": content}, Saver(tmp_path / "out", "code-run"))) == [
        "hi\\x1b[0m",
        f"[image image/png, 7 bytes: {tmp_path}/out/code-run-1.png]",
        "inner",
        f"[file:///b ../../etc, 7 bytes: {tmp_path}/out/code-run-1.bin]",
        "[link: n file:///c]",
        '[unheard-of: {"type": "unheard-of", "x": 1}]',
    ]
    assert (tmp_path / "out" / "code-run-1.png").read_bytes() == b"\x89PNG..."


def test_without_a_folder_binary_content_is_described():
    result = {"content": [{"type": "audio", "data": PIXEL, "mimeType": "audio/wav"}]}
    assert list(lines_of(result, None)) == ["[audio audio/wav, 7 bytes: --save DIR writes it to a file]"]


def test_structured_content_alone_is_shown_as_json():
    assert json.loads("".join(lines_of({"content": [], "structuredContent": {"a": "\x1b"}}, None))) == {"a": "\x1b"}


def test_saving_never_touches_what_is_there(tmp_path):
    (tmp_path / "t-1.png").write_text("mine")
    (tmp_path / "t-2.png").symlink_to(tmp_path / "elsewhere")
    assert Saver(tmp_path, "t").save(b"new", "image/png") == tmp_path / "t-3.png"
    assert (tmp_path / "t-1.png").read_text() == "mine"
    assert not (tmp_path / "elsewhere").exists()


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(errors.SetupError, match="file: cannot be written to"):
        Saver(tmp_path / "file", "t").save(b"", "image/png")


def test_content_that_is_not_base64_is_the_servers_fault():
    with pytest.raises(errors.ServerError, match="not base64"):
        list(lines_of({"content": [{"type": "image", "data": "%%%"}]}, None))


@pytest.mark.parametrize(
    ("name", "full"),
    [
        ("code.run", "code__run"),
        ("code__run", "code__run"),
        ("a.b.c", "a__b.c"),
        ("a__b.c", "a__b.c"),
        ("a.b__c", "a__b__c"),
    ],
)
def test_a_tool_is_named_with_a_dot_or_as_clients_see_it(name, full):
    assert full_name(name) == full


@pytest.mark.parametrize("name", ["", "run", ".run", "code.", "__run", "code__"])
def test_a_name_without_server_or_tool_is_refused(name):
    with pytest.raises(click.BadParameter, match=r"is not like SERVER\.TOOL"):
        full_name(name)


def test_what_looks_like_a_secret_is_not_shown():
    shown = {
        "api_key": "k",
        "password": 1,
        "tokens": ["a", "b"],
        "client-secret": "s",
        "url": "https://me:pw@example.org/x",
        "require_key": "auto",
        "max_tokens_per_call": 5,
        "nested": [{"private_key": "x", "token": None}],
    }
    assert redacted(shown) == {
        "api_key": REDACTED,
        "password": REDACTED,
        "tokens": [REDACTED, REDACTED],
        "client-secret": REDACTED,
        "url": f"https://{REDACTED}@example.org/x",
        "require_key": "auto",
        "max_tokens_per_call": 5,
        "nested": [{"private_key": REDACTED, "token": None}],
    }


def failures_of(kind):
    return [kind, *(deeper for child in kind.__subclasses__() for deeper in failures_of(child))]


EXPECTED = {
    errors.ConfigError: ExitCode.CONFIGURATION,
    errors.SetupError: ExitCode.SETUP,
    errors.NotRunningError: ExitCode.NOT_RUNNING,
    errors.IdentityError: ExitCode.REFUSED,
    errors.RefusedError: ExitCode.REFUSED,
    errors.ServerError: ExitCode.SERVER,
    errors.JournalError: ExitCode.SERVER,
    SandboxError: ExitCode.SETUP,
}


@pytest.mark.parametrize("base", EXPECTED)
def test_each_failure_has_the_exit_code_of_its_kind(base):
    for kind in failures_of(base):
        assert exit_code(kind.__new__(kind)) == EXPECTED[base], kind


def test_a_failure_inside_groups_is_found_and_a_bug_beside_it_is_not_hidden():
    ours = EngineUnavailableError("gone")
    assert first_known(ExceptionGroup("a", [ExceptionGroup("b", [ours])])) is ours
    assert first_known(ExceptionGroup("a", [ours, ValueError("bug")])) is None
    assert first_known(ValueError("bug")) is None


def test_a_failure_is_shown_harmless_with_its_remedy_apart(capsys):
    assert show(errors.ServerError("bad \x1b[2J", remedy="Look.")) == ExitCode.SERVER
    assert capsys.readouterr().err == "error: bad \\x1b[2J\n   do: Look.\n"
