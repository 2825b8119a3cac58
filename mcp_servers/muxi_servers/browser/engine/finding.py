"""Elements of a page, by a reference of a snapshot or by a selector."""

from __future__ import annotations

import re

from playwright.async_api import Error as PlaywrightError

from muxi_servers.browser.engine.words import explain
from muxi_servers.kit.errors import ToolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["find", "find_one"]

_REFERENCE = re.compile(r"^(f\d+)?e\d+$")


def find(page: Any, target: str) -> Any:  # noqa: ANN401 - Playwright's
    """Playwright's locator."""
    return page.locator(f"aria-ref={target}" if _REFERENCE.match(target) else target)


async def find_one(page: Any, target: str) -> Any:  # noqa: ANN401 - Playwright's
    """The locator of an element that a reference or a selector names.

    Raises:
        ToolError: the reference is of a page or an element that is gone, or it is no selector.
    """
    locator = find(page, target)
    is_reference = _REFERENCE.match(target) is not None
    try:
        count = await locator.count()
    except PlaywrightError as error:
        if not is_reference:
            raise ToolError(f"{target[:200]!r} is no selector: {explain(error)}") from None
        count = 0
    if is_reference and not count:
        raise ToolError(f"There is no {target} on the page as it is now: take a snapshot for new references.")
    return locator
