"""Brings what the running gateway offers up to date with the catalog and the pins on disk, without a restart.

Above: `control`, which is asked to by the commands that change them; asking changes nothing by itself, so anybody may.
Servers that did not change are not touched: their sandboxes and calls go on.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import anyio
from anyio import to_thread

from muxi_runtime.catalog.catalog import Catalog

if TYPE_CHECKING:
    from collections.abc import Callable

    from muxi_runtime.catalog.pin_book import PinBook
    from muxi_runtime.gateway.eras import Eras
    from muxi_runtime.gateway.listing import Listing
    from muxi_runtime.gateway.offers import OfferBook
    from muxi_runtime.gateway.specs import SpecBook
    from muxi_runtime.gateway.tasks import TaskRegistry
    from muxi_runtime.gateway.tools import ToolBook

__all__ = ["LiveCatalog", "Reloader"]

logger = logging.getLogger(__name__)


class LiveCatalog:
    """The catalog as it is now."""

    def __init__(self, now: Catalog) -> None:
        self.now = now

    def is_built_in(self, server: str) -> bool:
        """See `Catalog.is_built_in`."""
        return self.now.is_built_in(server)


@dataclass(slots=True)
class Reloader:
    """One reload at a time.

    Attributes:
        read: the catalog as it is on disk; blocks.
        refill: tells the pool what to hold now.
    """

    read: Callable[[], Catalog]
    live: LiveCatalog
    specs: SpecBook
    tools: ToolBook
    offers: OfferBook
    tasks: TaskRegistry
    listing: Listing
    eras: Eras
    pins: PinBook
    refill: Callable[[], None]
    _turn: anyio.Lock = field(default_factory=anyio.Lock)

    async def reload(self) -> dict[str, list[str]]:
        """Read anew; which servers were added, changed and removed."""
        async with self._turn:
            now = await to_thread.run_sync(self.read)
            decided = await to_thread.run_sync(self.pins.load)
            before, after = self.specs.manifests, now.servers
            added = [name for name in after if name not in before]
            changed = [name for name in after if name in before and after[name] != before[name]]
            gone = [name for name in before if name not in after]
            self.live.now, self.specs.manifests = now, after
            for name in (*changed, *gone):
                self._drop(name)
            for name in gone:
                self.tools.remove(name)
                self.offers.remove(name)
            for name, problem in now.problems.items():
                self.tools.set_error(name, str(problem))
            self.refill()
            await self.listing.fill([*added, *changed])
            if decided:  # else whoever may ask could have every definition read anew, as often as they like
                self.tools.judge_again()
                self.offers.judge_again()
        return {"added": added, "changed": changed, "removed": gone}

    def _drop(self, server: str) -> None:
        """Whoever uses it next gets a sandbox of what it is now."""
        self.eras.forget(server)
        for task in self.tasks.all():
            owner = task.owners.get(server)
            if owner is not None:
                owner.close("its server was changed")
