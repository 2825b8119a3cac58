"""The documentation is true: what its pages tell a reader to type works, and prints what they say."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import pytest
from doc_pages import FENCE, PAGES, ROOT, Command, FileToMake, code, steps
from running import Running, running_runtime
from tests.support.registries import registry_hosts

from muxi_runtime.cli.main import COMMANDS, program

pytestmark = pytest.mark.timeout(300)

PORT = "7890"
"""The port that the pages name: the default, and another one in these tests."""
HOME = "$MUXI_HOME/"
SHELL = r"""
set -a; touch "$1"; . "$1"; eval "$2"; code=$?
export -p | grep -vE '^declare -x (_|SHLVL|PWD|OLDPWD)' > "$1"; exit $code
"""
"""A command with the variables that the commands before it set."""

LINK = re.compile(r"\]\((?!\w+:)([^)#\s]*)(?:#([^)\s]+))?\)")
MENTION = re.compile(r"(?:^|[\s/(])muxi-runtime((?: +[^\s`|;&()]+)*)")
WORD = re.compile(r"[a-z][a-z-]*")


@dataclass
class Reader:
    """Someone who types what a page says, in a folder of their own."""

    running: Running
    port: str
    folder: Path
    path: str

    def make(self, file: FileToMake) -> None:
        in_home = file.path.startswith(HOME)
        target = (self.running.home if in_home else self.folder) / file.path.removeprefix(HOME)
        content = self.local(file.content)
        if in_home and target.name == "muxi.yaml" and "gateway:" not in content:
            content = f"gateway: {{port: {self.port}}}\n{content}"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content)

    def type(self, command: Command) -> None:
        done = subprocess.run(
            ["bash", "-c", SHELL, "reader", self.folder.with_suffix(".variables"), self.local(command.text)],
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            stdin=subprocess.DEVNULL,
            env={
                **{name: value for name, value in os.environ.items() if not name.startswith("MUXI_")},
                "PATH": self.path,
                "MUXI_HOME": str(self.running.home),
                "COLUMNS": "120",
            },
        )
        printed = done.stdout or done.stderr
        shown = f"line {command.line}: $ {command.text}\n{done.stdout}\n{done.stderr}"
        assert done.returncode == command.exit_code, f"exit code {done.returncode} of {shown}"
        assert command.prints(printed.replace(f":{self.port}", f":{PORT}")), f"other output of {shown}"

    def local(self, text: str) -> str:
        return text.replace(PORT, self.port)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The reader's search path: this environment, with the command also where it is not installed in it."""
    folder = Path(sys.executable).parent
    if not (folder / "muxi-runtime").exists():
        wrapper = tmp_path_factory.mktemp("bin") / "muxi-runtime"
        program_text = "import sys; sys.argv[0] = 'muxi-runtime'; from muxi_runtime.cli.main import main; main()"
        wrapper.write_text(f'#!/bin/sh\nexec {sys.executable} -P -c "{program_text}" "$@"\n')
        wrapper.chmod(0o755)
        return f"{wrapper.parent}:{folder}:{os.environ['PATH']}"
    return f"{folder}:{os.environ['PATH']}"


@pytest.fixture(scope="module")
def port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return str(probe.getsockname()[1])


@pytest.fixture(scope="module")
def documented(tmp_path_factory: pytest.TempPathFactory, port: str, python_image: str) -> Iterator[Running]:
    """One runtime for all pages, on a port that a page may take down and up again."""
    del python_image
    sections = {"egress": {"private": list(registry_hosts())}}
    with running_runtime(tmp_path_factory.mktemp("docs") / "home", sections, port=int(port)) as running:
        yield running


@pytest.fixture
def reader(documented: Running, port: str, path: str, tmp_path: Path) -> Iterator[Reader]:
    """A page finds the runtime with its defaults and without tasks, and need not tidy up."""
    settings = documented.home / "muxi.yaml"
    before = settings.read_text()
    folder = tmp_path / "reader"
    folder.mkdir()
    yield Reader(documented, port, folder, path)
    settings.write_text(before)
    documented.run("down")
    documented.up()


@pytest.mark.parametrize("page", [page for page in PAGES if any(steps(page))], ids=lambda page: page.name)
def test_what_a_page_says_to_type_works(reader: Reader, page: Path):
    for step in steps(page):
        if isinstance(step, FileToMake):
            reader.make(step)
        else:
            reader.type(step)


def test_every_event_of_the_pages_is_documented_with_all_of_its_fields(documented: Running):
    fields = {
        kind: {"shortened", *re.findall(r"`(\w+)`", cell)}
        for kind, cell in re.findall(r"^\| `([a-z_.]+)` \| [^|]+ \| ([^|]*) \|$", journal_page(), re.MULTILINE)
    }
    lines = documented.run("journal", "search", "--json").stdout.splitlines()
    for event in map(json.loads, lines):
        assert set(event["data"]) <= fields[event["kind"]], event


def journal_page() -> str:
    return (ROOT / "docs/journal.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", [*PAGES, *sorted((ROOT / "docs").glob("*/*.md"))], ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path):
    broken = []
    for target, anchor in LINK.findall(FENCE.sub("", page.read_text(encoding="utf-8"))):
        found = (page.parent / target) if target else page
        if not found.exists() or (anchor and anchor not in anchors(found)):
            broken.append(f"{target}#{anchor}")
    assert broken == []


def anchors(page: Path) -> set[str]:
    """As web pages of Markdown name their headings."""
    titles = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_that_a_page_names_exists(page: Path):
    unknown = [text for text in code(page) for words in MENTION.findall(text) if not exists(words.split())]
    assert unknown == []


def exists(words: list[str]) -> bool:
    """Whether the words begin with a command, and the options among them are its own."""
    context = click.Context(program)
    command: click.Command | None = program
    while isinstance(command, click.Group) and words and WORD.fullmatch(words[0]):
        name = words.pop(0)
        command = command.get_command(context, name) if command is not program or name in COMMANDS else None
    if command is None:
        return False
    parameters = (*program.params, *command.params)
    known = {option for parameter in parameters for option in (*parameter.opts, *parameter.secondary_opts)}
    return all(word.partition("=")[0].rstrip("'\",.") in known | {"--help"} for word in words if word.startswith("--"))


def test_the_index_names_every_page():
    index = (ROOT / "docs/README.md").read_text(encoding="utf-8")
    pages = {page.name for page in (ROOT / "docs").glob("*.md")} - {"README.md"}
    assert [name for name in sorted(pages) if f"({name})" not in index] == []


def test_no_page_names_a_path_that_is_not_there():
    named = [
        (page.name, word)
        for page in PAGES
        for text in code(page)
        for word in text.split()
        if re.fullmatch(r"(?:runtime|sandbox|mcp_servers|tests|examples|images|scripts|docs)/[\w./-]+\.\w+", word)
        and not (ROOT / word).exists()
    ]
    assert named == []
