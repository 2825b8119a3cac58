"""The installation's database for a command: opened for the block, whether or not the runtime runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine

from muxi_runtime.config import Settings
from muxi_runtime.store.engine import open_store

__all__ = ["opened"]


@contextmanager
def opened(settings: Settings) -> Iterator[Engine]:
    """The database, made where it is missing.

    Raises:
        SetupError: it cannot be used.
    """
    engine = open_store(settings.home)
    try:
        yield engine
    finally:
        engine.dispose()
