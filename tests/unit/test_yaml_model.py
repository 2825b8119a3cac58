from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field

from muxi_runtime.errors import ConfigError
from muxi_runtime.yaml_model import load_yaml_model, parse_yaml_model
from muxi_runtime.yaml_text import MAX_DEPTH, MAX_TEXT


class Door(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = "here"
    port: int = Field(1, ge=0, le=65535)
    ratio: float = 0.5
    open: bool = False
    names: tuple[str, ...] = ()
    key: Path | None = None


class House(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    door: Door = Field(default_factory=Door)
    doors: dict[str, Door] = Field(default_factory=dict)
    row: tuple[Door, ...] = ()
    label: str | None = None


class Needy(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str


FILE = Path("/etc/house/house.yaml")


def read(text: str, environ: dict[str, str] | None = None) -> House:
    return parse_yaml_model(text, FILE, House, environ={} if environ is None else environ)


def complaint(text: str, environ: dict[str, str] | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        read(text, environ)
    assert caught.value.remedy
    return Exception.__str__(caught.value)


def test_an_empty_file_is_the_defaults():
    assert read("") == House()
    assert read("# nothing but a comment\n") == House()


def test_an_empty_section_is_named_as_a_mistake():
    assert complaint("door:\n").startswith("/etc/house/house.yaml:1: door: ")


def test_each_message_names_file_line_and_field_and_all_come_at_once():
    lines = complaint("door:\n  port: 99999\n  ratio: much\nrow:\n  - {}\n  - open: 7\n").splitlines()
    assert [line.split(": ")[:2] for line in lines] == [
        ["/etc/house/house.yaml:2", "door.port"],
        ["/etc/house/house.yaml:3", "door.ratio"],
        ["/etc/house/house.yaml:6", "row[1].open"],
    ]


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("dor: {}", ":1: dor: unknown; did you mean 'door'?"),
        ("door:\n  prot: 1", ":2: door.prot: unknown; did you mean 'port'?"),
        ("doors:\n  front:\n    hosst: x", ":3: doors.front.hosst: unknown; did you mean 'host'?"),
        ("row:\n  - ratioo: 1", ":2: row[0].ratioo: unknown; did you mean 'ratio'?"),
        ("zzz: 1", ":1: zzz: unknown; known here: door, doors, row, label"),
    ],
)
def test_an_unknown_key_is_answered_with_the_nearest_name(text, where):
    assert complaint(text) == f"{FILE}{where}"


def test_a_key_given_twice_is_refused_with_both_lines():
    assert complaint("door:\n  port: 1\n  port: 2\n") == f"{FILE}:3: door.port: given twice, first on line 2"


@pytest.mark.parametrize("word", ["no", "yes", "on", "off", "2026-07-28", "1:30", "0o17", "1_000", ".inf", "True"])
def test_unquoted_text_stays_text(word):
    assert read(f"label: {word}").label == word


@pytest.mark.parametrize(("text", "number"), [("17", 17), ("+3", 3), ("0x10", 16), ("010", 10)])
def test_numbers_are_what_they_look_like(text, number):
    assert read(f"door: {{port: {text}}}").door.port == number


def test_a_number_where_text_belongs_asks_for_quotes():
    assert complaint("label: 1.10") == f"{FILE}:1: label: must be text; put it in quotes"
    assert read("label: '1.10'").label == "1.10"


def test_a_missing_field_is_named_with_the_line_of_what_lacks_it():
    with pytest.raises(ConfigError, match=r"x\.yaml:2: name: this must be given"):
        parse_yaml_model("# what follows lacks it\n{}", Path("x.yaml"), Needy)


def test_variables_are_filled_in_and_become_what_the_field_takes():
    text = "door: {host: 'a-${HOST}-z', port: '${PORT}', open: \"${OPEN:-true}\"}"
    assert read(text, {"HOST": "mid", "PORT": "80"}).door == Door(host="a-mid-z", port=80, open=True)


def test_a_default_stands_in_for_an_unset_or_empty_variable():
    assert read("label: ${A:-b c}", {}).label == "b c"
    assert read("label: ${A:-b}", {"A": ""}).label == "b"
    assert read("label: '${A:-}'", {}).label == ""
    assert read("label: '${A}'", {"A": ""}).label == ""


def test_an_unset_variable_without_default_is_named():
    assert complaint("door:\n  host: x${SOME_HOST}").startswith(
        f"{FILE}:2: door.host: the environment variable SOME_HOST is not set"
    )


def test_a_doubled_dollar_escapes():
    assert read("label: '$${A} $5 $$ $'", {"A": "no"}).label == "${A} $5 $$ $"


@pytest.mark.parametrize("broken", ["${", "${}", "${1A}", "${A-b}", "${A:-${B}}", "${A B}", "x ${A"])
def test_a_broken_variable_is_refused_not_passed_on(broken):
    assert "${" in complaint(f'label: "{broken}"', {"A": "a", "B": "b"})


def test_the_environment_cannot_write_structure():
    assert read("label: ${A}", {"A": "x\ndoor: {port: 9}"}).label == "x\ndoor: {port: 9}"
    assert read("label: ${A}", {"A": "${B}", "B": "secret"}).label == "${B}"


def test_keys_and_numbers_take_no_variables():
    assert list(read("doors: {'${A}': {}}", {"A": "x"}).doors) == ["${A}"]


def test_without_an_environment_text_stays_as_it_is():
    assert parse_yaml_model("label: ${HOME} $${X}", FILE, House).label == "${HOME} $${X}"


@pytest.mark.parametrize(
    "text",
    [
        "label: !!python/object/apply:os.system [id]",
        "label: !thing x",
        "label: !!binary aGk=",
        "label: !!int x",
        "door: !!set {host}",
        "door: &a {}\ndoors: {x: *a}",
        "door: &a {}",
        "--- {}\n--- {}",
        "? [a, b]\n: 1",
        "- a list",
        "just text",
        "door: {host: x",
        "door:\n\thost: x",
        'label: "\\0"',
        'label: "\\ud800"',
        'label: "\\UFFFFFFFF"',
        'label: "\\U00110000"',
        "%YAML 9" + "9" * 5000 + ".1\n---\n",
        "label: \x07",
        "ratio: 1e999",
        "door: {ratio: 1e999}",
    ],
)
def test_what_is_not_plain_data_is_refused(text):
    complaint(text)


def test_deep_nesting_is_refused_before_it_can_exhaust_the_stack():
    assert f"deeper than {MAX_DEPTH}" in complaint("label: " + "[" * 50_000)
    assert f"deeper than {MAX_DEPTH}" in complaint("".join(f"{' ' * n}a:\n" for n in range(MAX_DEPTH + 2)))


def test_a_long_file_is_refused(tmp_path):
    file = tmp_path / "long.yaml"
    file.write_text("#" * (MAX_TEXT + 1))
    with pytest.raises(ConfigError, match="longer than"):
        load_yaml_model(file, House)


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.yaml: cannot be read: No such file"):
        load_yaml_model(tmp_path / "none.yaml", House)
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load_yaml_model(tmp_path, House)
    (tmp_path / "latin.yaml").write_bytes(b"label: caf\xe9")
    with pytest.raises(ConfigError, match="is not UTF-8"):
        load_yaml_model(tmp_path / "latin.yaml", House)


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path):
    (tmp_path / "bom.yaml").write_bytes(b"\xef\xbb\xbflabel: x")
    assert load_yaml_model(tmp_path / "bom.yaml", House).label == "x"


def test_relative_paths_are_relative_to_the_file_wherever_they_stand():
    text = "door: {key: k.pem}\ndoors: {front: {key: /abs/k.pem}}\nrow: [{key: ../k.pem}]"
    house = read(text)
    assert house.door.key == Path("/etc/house/k.pem")
    assert house.doors["front"].key == Path("/abs/k.pem")
    assert house.row[0].key == Path("/etc/house/../k.pem")


def test_a_tilde_is_the_users_home():
    assert read("door: {key: ~/k.pem}").door.key == Path.home() / "k.pem"


def test_a_home_of_an_unknown_user_is_a_mistake_in_the_file():
    with pytest.raises(ConfigError, match=r"house\.yaml: ~nobody-of-this-name/k\.pem: there is no home folder"):
        read("door: {key: ~nobody-of-this-name/k.pem}")


fragments = st.sampled_from(
    [
        *(
            "door",
            "doors",
            "row",
            "label",
            "port",
            "key",
            "1",
            "1e9",
            "~",
            "~/x",
            "~x/y",
            "${A}",
            "${",
            "$${",
        ),
        *(
            ": ",
            "\n",
            "  ",
            "- ",
            "{",
            "}",
            "[",
            "]",
            ",",
            "'",
            '"',
            "\\U",
            "F" * 8,
            "!",
            "&a",
            "*a",
            "%",
            "|",
        ),
        *(">", "?", "#", "---", "<<", "\0", "\t", "\u2028"),
    ]
)


@given(st.one_of(st.text(), st.lists(fragments, max_size=30).map("".join)))
def test_any_text_is_a_model_or_a_config_error(text):
    with suppress(ConfigError):
        assert isinstance(read(text, {"A": "a: [1"}), House)


@given(st.binary())
def test_any_bytes_are_a_model_or_a_config_error(tmp_path_factory, data):
    file = tmp_path_factory.getbasetemp() / "any.yaml"
    file.write_bytes(data)
    with suppress(ConfigError):
        assert isinstance(load_yaml_model(file, House), House)


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40))
def test_a_value_from_the_environment_arrives_unchanged(value):
    assert read("label: '${A}'", {"A": value}).label == value
