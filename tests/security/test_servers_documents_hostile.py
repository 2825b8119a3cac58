"""Documents that were made to do harm: each is refused with the reason, and the server goes on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest
from document_samples import huge_png, office, pdf, word_xml, zipped
from documents_desk import Desk, open_desk

pytestmark = pytest.mark.timeout(120)
WORD = "word/document.xml"
MIB = 2**20
LAUGHS = "".join(f'<!ENTITY {name} "{9 * f"&{below};"}">' for name, below in zip("bcdefghi", "abcdefgh", strict=True))
ENTITIES = f'<!DOCTYPE x [<!ENTITY a "ha">{LAUGHS}]>'
OUTSIDE = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>'
OLE2 = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600)


@pytest.fixture
async def desk(engine_socket: Path, documents_images: tuple[str, ...]) -> AsyncIterator[Desk]:
    async with open_desk(engine_socket, *documents_images[:2]) as desk:
        yield desk


@pytest.mark.promise("documents-are-bounded")
async def test_bombs_are_not_unpacked(desk: Desk) -> None:
    inner = zipped({"zeros": bytes(40 * MIB)})
    for path, data, reason in (
        ("one.docx", office(WORD, b" " * (100 * MIB)), "looks like a ZIP bomb"),
        ("many.docx", office(WORD, "<a/>", {f"x{n}": bytes(120 * MIB) for n in range(5)}), "MiB unpacked"),
        ("large.docx", office(WORD, bytes(129 * MIB)), "128 MiB at most"),
        ("nested.zip", zipped({"a.zip": inner, "b.zip": inner}), "no document that is known"),
        ("laughs.docx", office(WORD, word_xml("&i;", ENTITIES)), "entit"),
        ("outside.docx", office(WORD, word_xml("&a;", OUTSIDE)), "declares a document type"),
        ("laughs.svg", f"{ENTITIES}<svg><text>&i;</text></svg>", "entit"),
        ("outside.svg", f"{OUTSIDE}<svg><text>&a;</text></svg>", "declares a document type"),
        ("huge.png", huge_png(100_000, 100_000), "50000000 in all at most"),
    ):
        await desk.put(path, data)
        refusal = await desk.refusal("read", path=path)
        assert reason in refusal, (path, refusal)
    for tool in ("info", "tables", "chunk"):
        assert "ZIP bomb" in await desk.refusal(tool, path="one.docx")
    assert "50000000" in await desk.refusal("ocr", path="huge.png")
    assert "not put in" in str(await desk.ask("write", path="new.docx", markdown="![x](huge.png)"))


@pytest.mark.promise("documents-are-bounded")
async def test_broken_documents_are_refused_with_the_reason(desk: Desk) -> None:
    await desk.ask("write", path="whole.docx", markdown="# Words\n\n" + "many words " * 5_000)
    for path, data, reason in (
        ("empty.pdf", b"", "is empty"),
        ("cut.pdf", pdf(["words"])[:200], "damaged or cut off"),
        ("noise.pdf", b"%PDF-1.7\n" + bytes(range(256)) * 40, "damaged or cut off"),
        ("cut.docx", zipped({WORD: word_xml("words")})[:-30], "damaged or cut off"),
        ("torn.docx", office(WORD, word_xml("words")[:-20]), "not well-formed"),
        ("bare.xlsx", office("xl/workbook.xml", "<workbook/>"), "damaged"),
        ("bare.epub", zipped({"mimetype": "application/epub+zip", "x": ""}), "META-INF/container.xml"),
        ("cut.png", huge_png(10, 10)[:-30], "damaged"),
        ("old.doc", OLE2, "Office 97"),
        ("locked.docx", OLE2 + "EncryptedPackage".encode("utf-16-le"), "encrypted with a password"),
        ("a.rtf", "{\\rtf1 words}", "RTF"),
        ("noise", bytes(range(256)), "binary file"),
        ("deep.html", "<div>" * 200_000 + "x", "nested deeper"),
    ):
        await desk.put(path, data)
        refusal = await desk.refusal("read", path=path)
        assert reason in refusal, (path, refusal)
    assert "damaged" in await desk.refusal("ocr", path="cut.png")
    assert "does not exist" in await desk.refusal("read", path="none.pdf")
    assert "out of the workspace" in await desk.refusal("read", path="../etc/passwd")
    assert (await desk.read("whole.docx", max_characters=200)).startswith("# Words")


@pytest.mark.promise("documents-are-bounded")
async def test_a_document_that_eats_memory_ends_alone(desk: Desk) -> None:
    piece = "".join(f"{'<a/>' * 60}{number % 9973}" for number in range(200_000))
    await desk.put("many.docx", office(WORD, f"<a>{piece}</a>"))
    assert "768 MiB of memory" in await desk.refusal("read", path="many.docx")
    await desk.put("fine.docx", office(WORD, word_xml("words")))
    assert await desk.read("fine.docx") == "words"


@pytest.mark.promise("documents-are-bounded")
async def test_a_page_of_any_size_is_drawn_within_bounds(desk: Desk) -> None:
    wide = pdf(["words"]).replace(b"[0 0 300 100]", b"[0 0 9e5 9e5]")
    await desk.put("wide.pdf", wide)
    (page,) = (await desk.ask("ocr", path="wide.pdf"))["pages"]
    assert page["width"] * page["height"] <= 50_000_000


@pytest.mark.promise("documents-are-bounded")
async def test_a_call_that_is_given_up_ends_and_the_next_is_answered(desk: Desk) -> None:
    await desk.put("long.pdf", pdf([f"Page {number}" for number in range(100)]))
    started = anyio.Event()

    async def hear(_: float, __: float | None, ___: str | None) -> None:
        started.set()

    async def read() -> None:
        await desk.documents.call_tool("ocr", {"path": "long.pdf", "dpi": 600}, progress_callback=hear)

    async with anyio.create_task_group() as group:
        group.start_soon(read)
        await started.wait()
        group.cancel_scope.cancel()
    assert (await desk.ask("info", path="long.pdf"))["count"] == 100
