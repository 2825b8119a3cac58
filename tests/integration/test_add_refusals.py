"""What `servers add` refuses before it installs anything, and what it tells a person to do instead."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.running import Running

from muxi_runtime.catalog.added import AddedServers
from muxi_runtime.catalog.manifest import Install, Manifest

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def running(tmp_path: Path) -> Running:
    """A state folder with one added server; nothing runs."""
    install = Install(source="pypi:notes==1")
    AddedServers(tmp_path).put(Manifest(name="notes", image="sha256:" + "a" * 64, install=install), [])
    return Running(tmp_path)


@pytest.mark.parametrize("options", [(), ("--json",)])
@pytest.mark.parametrize("command", [("add", "pypi:other"), ("update", "notes")])
def test_nothing_is_installed_where_nobody_can_be_asked(
    running: Running, command: tuple[str, ...], options: tuple[str, ...]
):
    refused = running.run("servers", *command, *options, check=False)
    assert refused.returncode == 6
    assert "nobody is there to be asked" in refused.stderr
    assert "add --yes" in refused.stderr
    assert refused.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("pypi:notes",), "`muxi-runtime servers update notes`"),
        (("pypi:other", "--name", "files"), "There is a server 'files' already."),
        (("./other",), "Did you mean path:./other?"),
        (("other",), "Did you mean npm:other or pypi:other?"),
        (("pypi:other@1",), "Did you mean pypi:other==1?"),
        (("npm:other==1",), "Did you mean npm:other@1?"),
        (("./other.yaml",), "Did you mean openapi:./other.yaml?"),
        (("openapi:http://example.com/api.json",), "is not encrypted"),
        (("openapi:https://user@example.com/api.json",), "may hold no user"),
    ],
)
def test_what_cannot_be_added_says_what_to_do(running: Running, arguments: tuple[str, ...], said: str):
    refused = running.run("servers", "add", *arguments, "--yes", check=False)
    assert refused.returncode == 3
    assert said in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.parametrize("command", ["doctor", "update", "remove"])
def test_one_that_was_not_added_is_named_with_those_that_were(running: Running, command: str):
    refused = running.run("servers", command, "files", check=False)
    assert refused.returncode == 6
    assert "No server 'files' was added with a command." in refused.stderr
    assert "Those that were: notes." in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("openapi:api.yaml", "--allow", "example.com"), "--allow is not for a document of OpenAPI"),
        (("openapi:api.yaml", "--secret", "A=example.com"), "--secret is not for a document of OpenAPI"),
        (("openapi:api.json", "--debian", "git"), "--debian is not for a document of OpenAPI"),
        (("npm:other", "--operation", "x"), "--server and --operation are for documents of OpenAPI"),
        (("pypi:other", "--server", "https://example.com"), "--server and --operation are for documents of OpenAPI"),
    ],
)
def test_options_of_another_kind_of_source_are_refused(running: Running, arguments: tuple[str, ...], said: str):
    refused = running.run("servers", "add", *arguments, "--yes", check=False)
    assert refused.returncode == 2
    assert said in " ".join(refused.stderr.split())
