"""robots.txt: what hosts ask programs not to read (RFC 9309)."""

from __future__ import annotations

from time import monotonic
from urllib.robotparser import RobotFileParser

from muxi_servers.kit.client.exchange import Request
from muxi_servers.kit.errors import ToolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from muxi_servers.kit.client.errand import Errand
    from muxi_servers.kit.client.exchange import Answer, Exchange
    from muxi_servers.kit.client.urls import Url

__all__ = ["AGENT", "Robots"]

AGENT = "muxi-web"
_MAX_BYTES = 512_000  # at least 500 KiB have to be read
_KEPT_SECONDS = 3_600.0
_KEPT = 64
_REDIRECTS = 5
_OF_NO_PATH = "Disallow: -"
"""Stands in for a line that cannot be read: without any, its agents would share the rules of the next group."""


class Robots:
    """Asks each host once an hour."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._known: dict[str, tuple[float, RobotFileParser | None]] = {}

    def check(self, errand: Errand, url: Url) -> None:
        """Go on only if the URL may be read.

        Raises:
            ToolError: the host asks not to, or its robots.txt cannot be read and so might.
        """
        parser = self._parser(errand, url)
        if parser is None:
            raise ToolError(
                f"{url.authority} does not serve its robots.txt now, so that nobody knows what may be read. Try again "
                "later, or ask the operator (docs/servers/web.md, robots)."
            )
        if not parser.can_fetch(AGENT, str(url)):
            raise ToolError(
                f"The robots.txt of {url.authority} asks programs not to read {url.target[:200]}. Read something else, "
                "or ask the operator: ignore_robots works where servers.web.environment.WEB_IGNORE_ROBOTS is 'allow'."
            )

    def _parser(self, errand: Errand, url: Url) -> RobotFileParser | None:
        known = self._known.get(url.origin)
        if known and monotonic() - known[0] < _KEPT_SECONDS and known[1] is not None:
            return known[1]
        parser = self._ask(errand, url)
        if len(self._known) >= _KEPT:
            self._known.pop(next(iter(self._known)))
        self._known[url.origin] = (monotonic(), parser)
        return parser

    def _ask(self, errand: Errand, url: Url) -> RobotFileParser | None:
        """The host's rules; `None` if nobody knows them now."""
        answer = self._follow(errand, url.join("/robots.txt"))
        if answer is None:
            return None
        # Without a file everything may be read: any 4xx, and a redirect to nowhere, means that there is none.
        lines = answer.body.decode("utf-8", "replace").splitlines() if answer.status == 200 else []  # noqa: PLR2004
        return _parsed(lines)

    def _follow(self, errand: Errand, url: Url) -> Answer | None:
        for _ in range(_REDIRECTS):
            # What keeps its robots.txt from being read keeps the page: the error says what it is.
            answer = self._exchange.ask(errand, Request(url), _MAX_BYTES)
            location = answer.headers.get("location")
            if not (300 <= answer.status < 400 and location):  # noqa: PLR2004 - redirects
                break
            url = url.join(location)
        return None if answer.status >= 500 else answer  # noqa: PLR2004 - the host's fault


def _parsed(lines: list[str]) -> RobotFileParser:
    """The rules. Of lines that cannot be read, the others count (RFC 9309, 2.3.1.5)."""
    parser = RobotFileParser()
    try:
        parser.parse(lines)
    except ValueError:
        parser = RobotFileParser()
        parser.parse([line if _is_readable(line) else _OF_NO_PATH for line in lines])
    parser.modified()
    return parser


def _is_readable(line: str) -> bool:
    """Python's parser fails on some, as `Disallow: //[` or `Crawl-delay: \u00b2`."""
    try:
        RobotFileParser().parse(["User-agent: *", line])
    except ValueError:
        return False
    return True
