"""What a page of the documentation asks its reader to do.

A fenced block tagged `console` holds commands (`$ `, going on with `> `) and what they print. `...` stands for
anything, within a line or for any number of lines; runs of spaces count as one. A command ending in `# exits with N`
must do so. A block tagged `LANGUAGE title=PATH` is a file that the reader makes before going on. Nothing else is run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = (
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").glob("*.md")),
)
FENCE = re.compile(r"^```(?P<tag>[^\n]*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
EXIT = re.compile(r" +# exits with (\d+)$")
SPAN = re.compile(r"`([^`\n]+)`")


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block; `line` is that of its first line in the page."""

    tag: str
    body: str
    line: int


@dataclass(frozen=True, slots=True)
class Command:
    """One command, and the lines that it is said to print on standard output (on standard error, if only there)."""

    text: str
    line: int
    exit_code: int = 0
    output: tuple[str, ...] = ()

    def prints(self, text: str) -> bool:
        """Whether the text is what the page shows; always, where it shows nothing."""
        if not self.output:
            return True
        pattern = "".join(
            r"(?:.*\n)*?" if line == "..." else ".*".join(map(re.escape, line.split("..."))) + r"\n"
            for line in map(squeezed, self.output)
        )
        return re.fullmatch(pattern, "".join(f"{squeezed(line)}\n" for line in text.rstrip().splitlines())) is not None


@dataclass(frozen=True, slots=True)
class FileToMake:
    """A file that the page shows in full."""

    path: str
    content: str


def squeezed(line: str) -> str:
    return re.sub("[ \t]+", " ", line.rstrip())


def blocks(page: Path) -> Iterator[Block]:
    text = page.read_text(encoding="utf-8")
    for found in FENCE.finditer(text):
        yield Block(found["tag"].strip(), found["body"], text.count("\n", 0, found.start("body")) + 1)


def steps(page: Path) -> Iterator[Command | FileToMake]:
    """What the page asks for, in order."""
    for block in blocks(page):
        language, _, title = block.tag.partition(" title=")
        if language == "console":
            yield from commands(block)
        elif title:
            yield FileToMake(title, block.body)


def commands(block: Block) -> Iterator[Command]:
    lines = block.body.splitlines()
    starts = [number for number, line in enumerate(lines) if line.startswith("$ ")]
    assert starts[:1] == [0], f"line {block.line}: a console block begins with a command"
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        rest = list(takewhile(lambda line: line.startswith("> "), lines[start + 1 : end]))
        text = "\n".join(line[2:] for line in [lines[start], *rest])
        exits = EXIT.search(text)
        output = lines[start + 1 + len(rest) : end]
        yield Command(EXIT.sub("", text), block.line + start, int(exits[1]) if exits else 0, tuple(output))


def code(page: Path) -> Iterator[str]:
    """Every piece of a page that a reader could type: commands, lines of shell, and code within sentences."""
    for block in blocks(page):
        if block.tag == "console":
            yield from (command.text for command in commands(block))
        elif block.tag in ("sh", "json"):
            yield from block.body.splitlines()
    yield from SPAN.findall(FENCE.sub("", page.read_text(encoding="utf-8")))
