"""The documents server in the sandbox that the runtime makes for it, with the limits of its manifest."""

from __future__ import annotations

import base64
import random
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from document_samples import ENCRYPTED_PDF, epub, odt, pdf, pptx
from documents_desk import Desk, open_desk
from engine_state import installation
from running import Running
from servers_harness import as_leased, leased, text_of

from muxi_sandbox.docker.backend import DockerBackend
from muxi_sandbox.docker.settings import EngineSettings

pytestmark = pytest.mark.timeout(120)
MARKDOWN = """# Annual report

Some **bold** words, a [link](https://example.org/a) and naïve → arrows.

## Lists

- one
- two
  - inner

1. first
2. second

Between.

1. first again

## Figures

| Name | Amount | Note |
| --- | --- | --- |
| Alpha | 1.5 | first \\| thing |
| Beta | 22 | =SUM(A1) |

![A picture](chart.png)

### Last

The end.
"""
PICTURE = (
    "from PIL import Image, ImageDraw, ImageFont\n"
    "font = ImageFont.truetype('/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf', 48)\n"
    "picture = Image.new('RGB', (900, 200), 'white')\n"
    "ImageDraw.Draw(picture).text((20, 60), 'Invoice 4711 of March', fill='black', font=font)\n"
    "picture.save('chart.png')"
)


@pytest.fixture
async def desk(engine_socket: Path, documents_images: tuple[str, ...]) -> AsyncIterator[Desk]:
    async with open_desk(engine_socket, *documents_images[:2]) as desk:
        yield desk


async def draw_chart(engine_socket: Path, image: str) -> bytes:
    async with (
        DockerBackend(EngineSettings(socket=engine_socket), installation("documents-charts")) as backend,
        leased(backend, as_leased("code", image, "chart")) as code,
    ):
        arguments = {"language": "python", "code": PICTURE, "return_images": True}
        result = await code.call_tool("run", arguments)
        (block,) = [block for block in result.content if block.type == "image"]
        return base64.b64decode(block.data)


@pytest.mark.parametrize("ending", ["docx", "pdf", "html", "md"])
async def test_what_is_written_is_read_with_its_structure(desk: Desk, ending: str) -> None:
    wrote = await desk.ask(
        "write", path=f"new/report.{ending}", markdown=MARKDOWN, title="Annual", author="Ann", language="en"
    )
    assert wrote["created"]
    text = await desk.read(f"new/report.{ending}")
    for line in (
        "# Annual report",
        "](https://example.org/a)",  # Poppler's links take in the words beside them
        "arrows.",
        "## Lists",
        "- two\n  - inner",
        "2. second\n\nBetween.\n\n1. first again",
        "| Name | Amount | Note |\n| --- | --- | --- |",
        "| Alpha | 1.5 | first \\| thing |",
        "### Last",
    ):
        assert line in text, (line, text)
    exact = "Some **bold** words, a [link](https://example.org/a) and naïve → arrows."
    assert exact in text or ending == "pdf"
    assert ("<!-- page 1 of 1 -->" in text) is (ending == "pdf")
    (table,) = (await desk.ask("tables", path=f"new/report.{ending}"))["tables"]
    assert [row[0] for row in table["rows"]] == ["Name", "Alpha", "Beta"]
    info = await desk.ask("info", path=f"new/report.{ending}")
    if ending != "md":
        assert (info["title"], info["author"], info["language"]) == ("Annual", "Ann", "en")
    assert info["format"] == {"md": "markdown"}.get(ending, ending)


@pytest.mark.parametrize("seed", range(3))
async def test_headings_of_a_pdf_are_read_back_with_their_levels(desk: Desk, seed: int) -> None:
    draw = random.Random(seed)  # noqa: S311 - to be the same each time
    words = (
        "alpha",
        "Beta",
        "12",
        "3.5",
        "\u00d6konomie",
        "2.",
        "\u0441\u043b\u043e\u0432\u043e",
        "a\u2013b",
        "(c)",
        "end:",
    )
    headings = [
        (draw.randint(1, 6), " ".join(draw.choices(words, k=draw.choice((1, 2, 5, 30)))))
        for _ in range(1 if seed == 0 else 40)
    ]
    between = ("Some words.", "- an item\n- another", "| a | b |\n| --- | --- |\n| 1 | two |", "")
    parts = [f"{'#' * level} {text}\n\n{draw.choice(between) if seed else ''}" for level, text in headings]
    await desk.ask("write", path="headings.pdf", markdown="\n\n".join(parts))
    told = re.findall(r"^(#+) (.*)$", await desk.read("headings.pdf"), re.MULTILINE)
    assert [(len(marks), text.replace("\\", "")) for marks, text in told] == headings


async def test_a_document_is_replaced_only_when_told(desk: Desk) -> None:
    await desk.ask("write", path="a.docx", markdown="old")
    assert "exists already" in await desk.refusal("write", path="a.docx", markdown="new")
    assert await desk.read("a.docx") == "old"
    assert not (await desk.ask("write", path="a.docx", markdown="new", overwrite=True))["created"]
    assert await desk.read("a.docx") == "new"
    assert "exists already" in await desk.refusal("convert", path="a.docx", destination="a.docx")
    await desk.ask("convert", path="a.docx", destination="b.pdf")
    assert "new" in await desk.read("b.pdf")
    assert "does not end in" in await desk.refusal("write", path="a.exe", markdown="x")
    assert "outside the workspace" in await desk.refusal("write", path="/etc/a.pdf", markdown="x")


async def test_cells_are_values_and_never_become_formulas(desk: Desk) -> None:
    rows = [["what", "value"], ["=1+1", -5], ["+49 30", 1.5], ["@x", True], ["-5", None]]
    for path in ("t.xlsx", "t.csv"):
        await desk.ask("write", path=path, tables=[{"name": "A/B: c", "rows": rows}])
    (sheet,) = (await desk.ask("tables", path="t.xlsx", formulas=True))["tables"]
    assert sheet["name"] == "A B c"
    assert sheet["rows"] == [*rows[:4], ["-5"]]
    raw = await desk.files.call_tool("read", {"path": "t.csv"})
    assert text_of(raw) == "what,value\r\n'=1+1,-5\r\n'+49 30,1.5\r\n'@x,TRUE\r\n-5,\r\n"
    found = await desk.ask("tables", path="t.xlsx", first_row=2, max_rows=2)
    assert (found["complete"], found["tables"][0]["rows"], found["tables"][0]["next_row"]) == (False, rows[1:3], 4)


async def test_long_documents_are_read_piece_by_piece(desk: Desk) -> None:
    await desk.put("long.pdf", pdf([f"This is page {number}" for number in range(1, 301)]))
    info = await desk.ask("info", path="long.pdf")
    assert (info["unit"], info["count"]) == ("page", 300)
    part = await desk.ask("read", path="long.pdf", parts="298-,5", max_characters=200)
    text = part["text"]
    while part["next"]:
        part = await desk.ask("read", path="long.pdf", max_characters=200, **part["next"])
        text += part["text"]
    marked = [f"<!-- page {number} of 300 -->" for number in (298, 299, 300, 5)]
    assert [line for line in text.splitlines() if line.startswith("<!--")] == marked
    assert "This is page 5" in text
    assert "300 pages" in await desk.refusal("read", path="long.pdf", parts="301")
    chunks = (await desk.ask("chunk", path="long.pdf", parts="7-8", size=60, overlap=0))["chunks"]
    assert [(chunk["part"], chunk["text"]) for chunk in chunks] == [(7, "This is page 7"), (8, "This is page 8")]


async def test_other_formats_are_known_by_their_content(desk: Desk) -> None:
    await desk.put("a", pptx("Plans", "do it"))
    assert await desk.read("a") == "<!-- slide 1 of 1: Plans -->\n\n## Plans\n\n- do it"
    await desk.put("b", odt("Head", "words"))
    assert await desk.read("b") == "## Head\n\nwords"
    chapters = {"c1.xhtml": "<html><body><h1>One</h1><p>a<script>evil()</script></p></body></html>", "../../up": "x"}
    await desk.put("c", epub(chapters))
    book = await desk.ask("read", path="c")
    assert (book["text"], book["title"]) == ("<!-- chapter 1 of 1 -->\n\n# One\n\na", "The book")
    assert book["notes"] == ["1 of its chapters are missing from the file."]
    await desk.put("d.txt", "<!doctype html><title>T</title><p>one<b>two<p style='display: none'>three<ul><li>x<li>y")
    assert await desk.read("d.txt") == "one**two**\n\n- x\n- y"
    await desk.put("e", "n\tv\nMüller\t1\n")
    assert (await desk.ask("tables", path="e"))["tables"][0]["rows"] == [["n", "v"], ["Müller", "1"]]


async def test_an_encrypted_pdf_is_read_with_its_password(desk: Desk) -> None:
    await desk.put("secret.pdf", ENCRYPTED_PDF)
    assert "encrypted" in await desk.refusal("read", path="secret.pdf")
    assert "not the right one" in await desk.refusal("read", path="secret.pdf", password="wrong")
    assert "Top secret plans" in await desk.read("secret.pdf", password="open sesame")
    assert (await desk.ask("info", path="secret.pdf", password="open sesame"))["encrypted"] is True


async def test_letters_are_read_from_pictures_and_pages(
    desk: Desk, engine_socket: Path, documents_images: tuple[str, ...]
) -> None:
    chart = await draw_chart(engine_socket, documents_images[2])
    await desk.put("chart.png", chart)
    for path in ("report.docx", "report.pdf", "report.html"):
        assert (await desk.ask("write", path=path, markdown=MARKDOWN))["notes"] == []
    heard: list[str | None] = []

    async def hear(_: float, __: float | None, message: str | None) -> None:
        heard.append(message)

    result = await desk.documents.call_tool("ocr", {"path": "chart.png"}, progress_callback=hear)
    assert result.structured_content
    (page,) = result.structured_content["pages"]
    assert (page["text"], page["confidence"] > 80) == ("Invoice 4711 of March", True)
    assert any("reading image 1" in str(message) for message in heard)
    assert "Invoice 4711 of March" in await desk.read("chart.png")
    (page,) = (await desk.ask("ocr", path="report.pdf", dpi=150))["pages"]
    assert "Invoice 4711 of March" in page["text"]
    assert "it has eng" in await desk.refusal("ocr", path="chart.png", languages=["xyz"])
    await desk.put("scan.pdf", pdf([""]))
    assert "call ocr with parts=1" in await desk.read("scan.pdf")


async def test_the_gateway_offers_it_with_true_annotations(
    documents_images: tuple[str, ...], shared_runtime: Running
) -> None:
    assert documents_images
    async with shared_runtime.client() as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools if tool.name.startswith("documents__")}
        hints = {name.removeprefix("documents__"): tool.annotations for name, tool in tools.items()}
        assert {name for name, hint in hints.items() if hint and hint.read_only_hint} == {
            *("info", "read", "tables", "ocr", "chunk")
        }
        assert {name for name, hint in hints.items() if hint and hint.destructive_hint} == {"write", "convert"}
        assert not any(hint.open_world_hint for hint in hints.values() if hint)
        wrote = await client.call_tool("documents__write", {"path": "through.pdf", "markdown": "# Through the door"})
        assert not wrote.is_error, wrote.content
        read = await client.call_tool("documents__read", {"path": "through.pdf"})
        assert "# Through the door" in text_of(read)
