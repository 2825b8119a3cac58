"""Fonts of a PDF: Liberation, and DejaVu for letters that it lacks."""

from __future__ import annotations

from xml.sax.saxutils import escape  # nosec B406 # writes only

TYPE_CHECKING = False
if TYPE_CHECKING:
    from muxi_servers.documents.writing.draft import Draft

__all__ = ["Letters"]

_FOLDER = "/usr/share/fonts/truetype"
_FILES = {
    "Body": "liberation/LiberationSans-Regular.ttf",
    "Body-Bold": "liberation/LiberationSans-Bold.ttf",
    "Body-Italic": "liberation/LiberationSans-Italic.ttf",
    "Body-BoldItalic": "liberation/LiberationSans-BoldItalic.ttf",
    "Code": "liberation/LiberationMono-Regular.ttf",
    "More": "dejavu/DejaVuSans.ttf",
}


class Letters:
    """Which font has which letter."""

    def __init__(self, draft: Draft) -> None:
        """Register the fonts with reportlab."""
        from reportlab.pdfbase import pdfmetrics  # noqa: PLC0415 - heavy
        from reportlab.pdfbase.ttfonts import TTFont  # noqa: PLC0415 - heavy

        fonts = {name: TTFont(name, f"{_FOLDER}/{path}") for name, path in _FILES.items()}
        for font in fonts.values():
            pdfmetrics.registerFont(font)
        bodies = ("Body", "Body-Bold", "Body-Italic", "Body-BoldItalic")
        pdfmetrics.registerFontFamily("Body", *bodies)
        for single in ("Code", "More"):
            pdfmetrics.registerFontFamily(single, single, single, single, single)
        self._body = frozenset(fonts["Body"].face.charToGlyph)
        self._more = frozenset(fonts["More"].face.charToGlyph)
        self._draft = draft

    def markup(self, text: str) -> str:
        """The text for a paragraph of reportlab: escaped, and in the fonts that have its letters."""
        pieces: list[str] = []
        spare: list[str] = []
        for letter in text:
            if ord(letter) in self._body or letter.isspace():
                pieces += [self._in_more(spare), letter]
                spare = []
            else:
                spare.append(letter)
        return "".join(_escaped(piece) for piece in [*pieces, self._in_more(spare)])

    def _in_more(self, letters: list[str]) -> str:
        if not letters:
            return ""
        unknown = sorted({letter for letter in letters if ord(letter) not in self._more})
        if unknown:
            shown = "".join(unknown[:10])
            self._draft.note(f"The fonts have no letters for some of the text, as {shown}: write DOCX or HTML instead.")
        return f"\0{''.join(letters)}"


def _escaped(piece: str) -> str:
    if piece.startswith("\0"):
        return f'<font name="More">{escape(piece[1:])}</font>'
    return escape(piece)
