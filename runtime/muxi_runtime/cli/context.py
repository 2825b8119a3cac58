"""What every command gets as `ctx.obj`: where the configuration is, and the settings when asked for."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from muxi_runtime.config import Settings

__all__ = ["Invocation"]


@dataclass(frozen=True)
class Invocation:
    """The global options of one run of the program.

    Attributes:
        config: `--config`; `None` searches.
        home: `--home`; `None` takes `$MUXI_HOME` or the user's data folder.
    """

    config: Path | None = None
    home: Path | None = None

    def settings(self) -> Settings:
        """The settings, read at the first call.

        Raises:
            ConfigError: the file cannot be used.
        """
        return self._settings

    @cached_property
    def _settings(self) -> Settings:
        # Not imported above: `--help` and `--version` must not load pydantic.
        module = importlib.import_module("muxi_runtime.config")
        return cast("Settings", module.load_settings(config=self.config, home=self.home))
