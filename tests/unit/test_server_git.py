"""What is taken over of a repository's settings, and what may become an argument of git's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muxi_servers.git.checks import check_name, check_paths, check_revision, check_url
from muxi_servers.git.looking import read_blame, read_status
from muxi_servers.git.refusals import explain
from muxi_servers.git.settings import read_settings, safe_settings, write_settings
from muxi_servers.kit.errors import ToolError

HOSTILE = """
[core]
    repositoryformatversion = 0
    fsmonitor = "touch /tmp/ran"
    sshCommand = touch /tmp/ran
    hooksPath = hooks
    worktree = /etc
    bare = false
[core] pager = touch /tmp/ran
[filter "x"]
    smudge = touch /tmp/ran
[diff "x"]
    command = touch /tmp/ran
    textconv = touch /tmp/ran
[alias]
    status = !touch /tmp/ran
[credential]
    helper = !touch /tmp/ran
[include]
    path = other
[includeIf "gitdir:/"]
    path = other
[url "ext::sh -c touch% /tmp/ran"]
    insteadOf = https://
[http]
    proxy = http://attacker.example
    sslVerify = false
[remote "origin"]
    url = https://example.com/a.git
    uploadpack = touch /tmp/ran
    fetch = +refs/heads/*:refs/remotes/origin/*
[remote "evil"]
    url = ext::touch /tmp/ran
[remote "--upload-pack=x"]
    url = https://example.com/b.git
[branch "main"]
    remote = origin
    merge = refs/heads/main
[user]
    name = "Ada \\"the\\" Lovelace" ; a comment
    email = ada@example.com
"""


def test_only_what_is_known_to_be_harmless_is_taken_over() -> None:
    assert safe_settings(HOSTILE) == [
        (("core", "", "repositoryformatversion"), "0"),
        (("remote", "origin", "url"), "https://example.com/a.git"),
        (("remote", "origin", "fetch"), "+refs/heads/*:refs/remotes/origin/*"),
        (("branch", "main", "remote"), "origin"),
        (("branch", "main", "merge"), "refs/heads/main"),
        (("user", "", "name"), 'Ada "the" Lovelace'),
        (("user", "", "email"), "ada@example.com"),
    ]


def test_what_is_written_is_read_again_as_it_was() -> None:
    settings = safe_settings(HOSTILE)
    assert list(read_settings(write_settings(settings))) == settings


@given(st.text(max_size=300))
def test_no_text_becomes_a_setting_that_is_not_on_the_list(text: str) -> None:
    try:
        settings = safe_settings(text)
    except ToolError:
        return
    assert list(read_settings(write_settings(settings))) == settings
    assert {(section, key) for (section, _, key), _ in settings} <= {
        *(
            ("core", key)
            for key in ("repositoryformatversion", "filemode", "ignorecase", "symlinks", "autocrlf", "eol")
        ),
        *(("user", "name"), ("user", "email"), ("extensions", "objectformat")),
        *(("remote", key) for key in ("url", "pushurl", "fetch")),
        *(("branch", "remote"), ("branch", "merge")),
    }


@pytest.mark.parametrize("text", ["[core]\nbare = true", "[core]\nbare", "[extensions]\nrefStorage = reftable"])
def test_a_kind_of_repository_that_is_not_known_is_refused(text: str) -> None:
    with pytest.raises(ToolError, match="This repository"):
        safe_settings(text)


@pytest.mark.parametrize(
    "value", ["-f", "--output=x", "", "a b", "a;b", ":/text", "^main", "a..b", "$(x)", "../x", "\n", "\0"]
)
def test_what_is_no_revision_is_refused(value: str) -> None:
    with pytest.raises(ToolError, match="no revision"):
        check_revision(value)


@pytest.mark.parametrize("value", ["HEAD", "main", "HEAD~2", "v1.0^{commit}", "origin/main", "a1b2c3", "main@{1}"])
def test_a_revision_is_taken(value: str) -> None:
    assert check_revision(value) == value


def test_a_range_is_taken_where_one_is_meant() -> None:
    assert check_revision("main..feature", ranges=True) == "main..feature"


@pytest.mark.parametrize(
    "value",
    ["-b", "--x", "", "a..b", "a/", "/a", "a//b", "a.lock", ".a", "a/.b", "a@{b", "@", "HEAD", "a b", "a\nb", "ä"],
)
def test_what_is_no_name_is_refused(value: str) -> None:
    with pytest.raises(ToolError, match="cannot be the name"):
        check_name(value)


@pytest.mark.parametrize(
    "url",
    [
        *("ext::sh -c x", "file:///etc", "/etc", "ssh://host/x", "git@host:x", "-x", "https://", "https://-x/y"),
        *(
            "https://user:password@host/x",
            "https://user@host/x",
            "HTTPS://host/x",
            "https://host/a b",
            "https://host/a\nb",
        ),
        'https://host/"x',
    ],
)
def test_what_is_no_plain_url_is_refused(url: str) -> None:
    with pytest.raises(ToolError, match="cannot be cloned"):
        check_url(url)


def test_an_absolute_path_is_refused() -> None:
    with pytest.raises(ToolError, match="no path"):
        check_paths(["a", "/etc/passwd"])


def test_a_refusal_of_the_proxy_names_the_host_and_what_allows_it() -> None:
    said = "fatal: unable to access 'https://example.com/x.git/': CONNECT tunnel failed, response 403"
    assert "servers.git.network.allow: [example.com]" in explain("fetch", said)
    said = "fatal: could not read Username for 'https://example.com': terminal prompts disabled"
    assert "secrets set GIT_TOKEN" in explain("fetch", said)
    assert explain("add", "fatal: it is so\nhint: do that") == "git add failed: fatal: it is so"


def test_status_is_read_with_renames_and_odd_names() -> None:
    said = "\0".join(
        (
            *("# branch.oid abc", "# branch.head main", "# branch.upstream origin/main", "# branch.ab +1 -2"),
            *(
                "1 .M N... 100644 100644 100644 a b with space.txt",
                "2 R. N... 100644 100644 100644 a b R100 new",
                "old",
            ),
            *("u UU N... 100644 100644 100644 100644 a b c conflict", "? new\nline", ""),
        )
    )
    told = read_status(said)
    assert (told["branch"], told["ahead"], told["behind"], told["complete"]) == ("main", 1, 2, True)
    assert [(one["path"], one["staged"], one["unstaged"], one["original"]) for one in told["entries"]] == [
        ("with space.txt", "", "modified", None),
        ("new", "renamed", "", "old"),
        ("conflict", "unmerged", "unmerged", None),
        ("new\nline", "", "untracked", None),
    ]


def test_blame_is_read_whatever_a_line_says() -> None:
    said = "abc 1 1 1\nauthor A\nauthor-time 7\nsummary s\nfilename f\n\tauthor B\ndef 2 2\nauthor C\n\t\t\n"
    assert [(one["line"], one["commit"], one["author"], one["text"]) for one in read_blame(said)] == [
        (1, "abc", "A", "author B"),
        (2, "def", "C", "\t"),
    ]
