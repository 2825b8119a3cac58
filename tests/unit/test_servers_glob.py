from __future__ import annotations

import fnmatch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muxi_servers.files.diff import diff_of_replacement
from muxi_servers.files.glob import matches

NAME_PATTERNS = st.lists(st.sampled_from(["*", "?", "a", "b", "-", "[ab]", "[!a]", "[a-c]"]), min_size=1).map("".join)


@given(NAME_PATTERNS, st.text("abc-", min_size=1, max_size=12))
def test_names_match_as_the_standard_library_says(pattern: str, name: str) -> None:
    assert matches(pattern, name) == fnmatch.fnmatchcase(name, pattern)


@pytest.mark.parametrize(
    ("pattern", "path", "fits"),
    [
        ("**", "a/b/c", True),
        ("*.py", "a/b/c.py", True),
        ("*.py", "a.py/c", False),
        ("a/*.py", "a/c.py", True),
        ("a/*.py", "a/b/c.py", False),
        ("a/**/*.py", "a/c.py", True),
        ("a/**/*.py", "a/b/b/c.py", True),
        ("**/c", "c", True),
        ("**/b/**", "a/b/c/d", True),
        ("**/b/**", "a/c/d", False),
        ("/a", "a", True),
        ("[", "[", True),
        ("[]]", "]", True),
    ],
)
def test_paths_match_by_folders(pattern: str, path: str, fits: bool) -> None:  # noqa: FBT001 - a table
    assert matches(pattern, path) is fits


def test_a_hostile_pattern_takes_no_time() -> None:
    assert not matches("*a" * 200 + "b", "a" * 5_000)
    assert not matches("**/a/" * 100 + "b", "/".join(["a"] * 200))


def apply(diff: str, text: str) -> str:
    """What a unified diff makes of a text."""
    lines, result, at = text.split("\n"), [], 0
    for line in diff.split("\n")[2:]:
        if line.startswith("@@"):
            start = int(line.split()[1].split(",")[0][1:]) - 1
            result += lines[at:start]
            at = start
        elif line.startswith("+"):
            result.append(line[1:])
        else:
            assert lines[at] == line[1:]
            at += 1
            result += [line[1:]] if line.startswith(" ") else []
    return "\n".join(result + lines[at:])


@given(
    st.lists(st.sampled_from(["x", "y", "ab", ""]), min_size=1, max_size=30).map("\n".join),
    st.sampled_from(["x", "y", "ab", "x\ny", "b\n", "\nx"]),
    st.sampled_from(["z", "zz", "q\nr", ""]),
)
def test_a_diff_makes_the_new_text_of_the_old_one(text: str, old: str, new: str) -> None:
    text += "\n"
    if old not in text or not text.replace(old, new).endswith("\n"):
        return
    assert apply(diff_of_replacement(text, old, new, "f"), text) == text.replace(old, new)


def test_a_diff_has_three_lines_around() -> None:
    text = "".join(f"{number}\n" for number in range(1, 21))
    diff = diff_of_replacement(text, "10\n", "ten\n", "f")
    assert diff.split("\n") == [
        "--- f",
        "+++ f",
        "@@ -7,7 +7,7 @@",
        " 7",
        " 8",
        " 9",
        "-10",
        "+ten",
        " 11",
        " 12",
        " 13",
    ]


def test_a_long_diff_is_cut() -> None:
    diff = diff_of_replacement("x\n" * 10_000, "x", "y", "f")
    assert len(diff.split("\n")) == 201
    assert diff.endswith("left out ...]")
