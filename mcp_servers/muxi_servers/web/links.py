"""Links of a page, made whole."""

from __future__ import annotations

from urllib.parse import urljoin, urlsplit

__all__ = ["Links"]

_MAX_LINK = 2_000
_SHOWN = frozenset({"http", "https", "mailto", "tel", "ftp"})


class Links:
    """Of one page."""

    def __init__(self, page: str, base: str = "") -> None:
        """`base` is the `href` of the page's `base` element, if there is one."""
        self._page = page
        self._base = self._join(page, base) or page

    def absolute(self, reference: str) -> str:
        """Where it leads; empty for a script, an embedded picture, a place on the same page, or no URL at all."""
        reference = reference.strip()
        if not reference or reference.startswith("#") or len(reference) > _MAX_LINK:
            return ""
        return self._join(self._base, reference)

    @staticmethod
    def _join(base: str, reference: str) -> str:
        try:
            whole = urljoin(base, reference)
            scheme = urlsplit(whole).scheme
        except ValueError:
            return ""
        if scheme not in _SHOWN or not whole.isprintable():
            return ""
        return whole
