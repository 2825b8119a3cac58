"""One HTML file that needs no other: pictures are inside, nothing is fetched and nothing runs."""

from __future__ import annotations

from binascii import b2a_base64
from html import escape

from muxi_servers.documents.writing.pictures import load

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from markdown_it.token import Token

    from muxi_servers.documents.writing.draft import Draft

__all__ = ["write_html"]

_STYLE = (
    "body{max-width:48rem;margin:2rem auto;padding:0 1rem;font:1rem/1.5 sans-serif;color:#222}"
    "table{border-collapse:collapse}td,th{border:1px solid #bbb;padding:.25rem .5rem;text-align:left}"
    "th{background:#f2f2f2}img{max-width:100%}pre{overflow:auto;background:#f6f6f6;padding:.5rem}"
)
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def write_html(draft: Draft) -> bytes:
    """The page."""
    from markdown_it import MarkdownIt  # noqa: PLC0415 - heavy

    parser = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])

    def image(_: object, tokens: Sequence[Token], index: int, *__: object) -> str:
        return _image(draft, tokens[index])

    parser.add_render_rule("image", image)
    body = parser.render(draft.whole_markdown()).replace("&lt;br&gt;", "<br>")  # how lines of a cell are written
    language = f' lang="{escape(draft.language)}"' if draft.language else ""
    author = f'<meta name="author" content="{escape(draft.author)}">\n' if draft.author else ""
    page = (
        f'<!doctype html>\n<html{language}>\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n{author}'
        f"<title>{escape(draft.title or 'Document')}</title>\n<style>{_STYLE}</style>\n</head>\n"
        f"<body>\n{body}</body>\n</html>\n"
    )
    return page.encode()


def _image(draft: Draft, token: Token) -> str:
    words = escape(token.content)
    picture = load(draft, str(token.attrs.get("src", "")))
    if picture is None:
        return f"[{words}]" if words else ""
    data = b2a_base64(picture.data, newline=False).decode()
    return f'<img src="data:{picture.mime_type};base64,{data}" alt="{words}">'
