"""Blocks to Markdown."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from muxi_servers.documents.model import Block, Cell, Row

__all__ = ["clean", "emphasise", "link", "plain", "render", "render_block", "say_cell", "starts_of"]

_SAFE_LINKS = ("http://", "https://", "mailto:", "#")
_MAX_LINK = 2_000
_GUARDED = ("#", ">", "|")


def clean(text: str) -> str:
    """Text of a document on one line, so that it cannot pass for one of our markers."""
    return plain(" ".join(text.split()))


def plain(text: str) -> str:
    """The same with its lines as they are."""
    return text.replace("<!--", "&lt;!--").replace("\0", "")


def emphasise(text: str, *, bold: bool = False, italic: bool = False) -> str:
    """Put marks around what is not blank; spaces at the ends stay outside of them."""
    core = text.strip()
    if not core or not (bold or italic):
        return text
    mark = "**" * bold + "*" * italic
    before, after = text[: len(text) - len(text.lstrip())], text[len(text.rstrip()) :]
    return f"{before}{mark}{core}{mark[::-1]}{after}"


def link(text: str, target: str) -> str:
    """A link where its target is one that a person would follow; else its text. Spaces at the ends stay outside."""
    address = target.strip().replace(" ", "%20").replace("(", "%28").replace(")", "%29")
    if not text.strip() or not address.lower().startswith(_SAFE_LINKS) or len(address) > _MAX_LINK:
        return text
    before, after = text[: len(text) - len(text.lstrip())], text[len(text.rstrip()) :]
    return f"{before}[{text.strip()}]({address}){after}"


def say_cell(value: Cell) -> str:
    """A value as text."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    return str(value)


def render_block(block: Block) -> str:
    """One block."""
    from muxi_servers.documents.model import Table  # noqa: PLC0415 - a class is needed here, types alone elsewhere

    if isinstance(block, Table):
        return _table(block.rows, has_header=block.has_header)
    if block.kind == "heading":
        return f"{'#' * min(max(block.level, 1), 6)} {block.text}"
    if block.kind == "item":
        mark = f"{block.number}." if block.number else "-"
        return f"{'  ' * block.level}{mark} {block.text}"
    if block.kind == "code":
        fence = "`" * 3
        while fence in block.text:
            fence += "`"
        return f"{fence}\n{block.text}\n{fence}"
    if block.kind == "raw":
        return block.text
    return f"\\{block.text}" if block.text.startswith(_GUARDED) else block.text


def starts_of(blocks: list[Block]) -> tuple[str, list[int]]:
    """All blocks as one text, and where each begins in it. Items of a list are on lines below each other."""
    pieces: list[str] = []
    starts: list[int] = []
    at = 0
    for index, block in enumerate(blocks):
        between = ""
        if index:
            between = "\n" if _goes_on(blocks[index - 1], block) else "\n\n"
        body = plain(render_block(block))
        starts.append(at + len(between))
        at += len(between) + len(body)
        pieces += [between, body]
    return "".join(pieces), starts


def _goes_on(before: Block, block: Block) -> bool:
    """Whether two items are of one list."""
    if not before.kind == block.kind == "item":
        return False
    return before.level != block.level or bool(before.number) == bool(block.number)


def render(blocks: list[Block]) -> str:
    """All blocks as one text."""
    return starts_of(blocks)[0]


def _table(rows: list[Row], *, has_header: bool) -> str:
    width = max((len(row) for row in rows), default=0)
    if not width:
        return ""
    body = rows if has_header else [[], *rows]
    lines = [_line([say_cell(value) for value in row], width) for row in body]
    return "\n".join([lines[0], f"|{' --- |' * width}", *lines[1:]])


def _line(cells: list[str], width: int) -> str:
    full = cells + [""] * (width - len(cells))
    return f"| {' | '.join(_cell(cell) for cell in full)} |"


def _cell(text: str) -> str:
    return plain(text).strip().replace("\r", "").replace("|", "\\|").replace("\n", "<br>")
