"""The settings of the whole runtime, and the one place that reads the environment.

One file, `muxi.yaml`, looked for at `--config`, `$MUXI_CONFIG`, then `<home>/muxi.yaml`; with none, the
defaults hold. The folder of all state is `--home`, `$MUXI_HOME`, or `muxi-runtime` in the user's data folder.
Each section is the settings model of one part, kept beside that part.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from muxi_runtime.catalog.added import AddedServers
from muxi_runtime.catalog.catalog import Catalog, load_catalog
from muxi_runtime.catalog.labels import LabelSettings
from muxi_runtime.catalog.limits import LimitsClassSettings
from muxi_runtime.catalog.results import ResultSettings
from muxi_runtime.catalog.settings import ServerSettings
from muxi_runtime.errors import ConfigError
from muxi_runtime.gateway.settings import GatewaySettings
from muxi_runtime.identity.oauth.settings import AuthSettings
from muxi_runtime.installing.settings import InstallSettings
from muxi_runtime.journal.settings import JournalSettings
from muxi_runtime.policy.settings import PolicySettings
from muxi_runtime.vault.settings import VaultSettings
from muxi_runtime.yaml_model import expand_home, load_yaml_model
from muxi_sandbox.docker.settings import EngineSettings
from muxi_sandbox.egress.settings import EgressSettings
from muxi_sandbox.pool.settings import PoolSettings
from muxi_sandbox.workspaces.settings import SnapshotSettings

__all__ = ["FileSettings", "Settings", "default_home", "load_settings", "read_catalog", "read_policy"]


class FileSettings(BaseModel):
    """What `muxi.yaml` may hold: one section a part."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    gateway: GatewaySettings = Field(default_factory=GatewaySettings)
    servers: dict[str, ServerSettings] = Field(default_factory=dict)
    engine: EngineSettings = Field(default_factory=EngineSettings)
    limits_classes: dict[str, LimitsClassSettings] = Field(default_factory=dict)
    install: InstallSettings = Field(default_factory=InstallSettings)
    egress: EgressSettings = Field(default_factory=EgressSettings)
    pool: PoolSettings = Field(default_factory=PoolSettings)
    snapshots: SnapshotSettings = Field(default_factory=SnapshotSettings)
    secrets: VaultSettings = Field(default_factory=VaultSettings)
    journal: JournalSettings = Field(default_factory=JournalSettings)
    labels: LabelSettings = Field(default_factory=LabelSettings)
    results: ResultSettings = Field(default_factory=ResultSettings)
    policy: PolicySettings = Field(default_factory=PolicySettings)
    auth: AuthSettings = Field(default_factory=AuthSettings)

    @model_validator(mode="after")
    def _tokens_need_a_closed_door(self) -> Self:
        # Behind the proxy that such an endpoint has, everybody would come from loopback, and be an owner.
        if self.auth.oauth is not None and not self.gateway.keys_required:
            raise ValueError("auth.oauth needs gateway.require_key: always, so that nobody comes in without a token")
        return self


class Settings(FileSettings):
    """Everything that the composition root needs.

    Attributes:
        home: the folder of all state, absolute; it need not exist yet.
        source: the file that was read, `None` for the defaults.
    """

    home: Path
    source: Path | None = None


def load_settings(
    *, config: Path | None = None, home: Path | None = None, environ: Mapping[str, str] | None = None
) -> Settings:
    """Find, read and validate the configuration.

    Args:
        config: the file, as `--config` gives it; it must exist.
        home: the folder of all state, as `--home` gives it.
        environ: the environment; `None` is the process's own.

    Raises:
        ConfigError: the file cannot be used; the message has one line for each thing wrong.
    """
    environ = os.environ if environ is None else environ
    home = expand_home(home or default_home(environ)).absolute()
    source = _source(config, home, environ)
    parts = load_yaml_model(source, FileSettings, environ=environ) if source else FileSettings()
    values = {name: getattr(parts, name) for name in FileSettings.model_fields}
    return Settings(home=home, source=source, **values | {"engine": _engine(parts.engine, environ)})


def read_catalog(settings: Settings) -> Catalog:
    """Every server: those that come with the runtime, those of muxi.yaml, those that were added. Blocks."""
    return load_catalog(settings.servers, None, settings.limits_classes, AddedServers(settings.home))


def read_policy(settings: Settings) -> PolicySettings:
    """The `policy` section as the configuration file has it now. Blocks.

    Raises:
        ConfigError: the file cannot be used.
    """
    source = settings.source or settings.home / "muxi.yaml"
    if settings.source is None and not _is_there(source):
        return settings.policy
    return load_yaml_model(source, FileSettings, environ=os.environ).policy


def default_home(environ: Mapping[str, str]) -> Path:
    """`$MUXI_HOME`, or `muxi-runtime` in the user's data folder (XDG base directories)."""
    if environ.get("MUXI_HOME"):
        return Path(environ["MUXI_HOME"])
    data = Path(environ.get("XDG_DATA_HOME", ""))
    # The XDG specification: a relative path there is to be ignored.
    return (data if data.is_absolute() else Path.home() / ".local" / "share") / "muxi-runtime"


def _engine(engine: EngineSettings, environ: Mapping[str, str]) -> EngineSettings:
    """The engine's settings, with the socket that `DOCKER_HOST` names unless the file names one."""
    host = environ.get("DOCKER_HOST", "")
    if not host or "socket" in engine.model_fields_set:
        return engine
    path = Path(host.removeprefix("unix://"))
    if not host.startswith("unix://") or not path.is_absolute():
        raise ConfigError(
            f"DOCKER_HOST is {host}, and only an engine on this machine can be used, by its Unix socket.",
            remedy="Unset DOCKER_HOST, or set it to unix:///path/of/docker.sock.",
        )
    return engine.model_copy(update={"socket": path})


def _source(config: Path | None, home: Path, environ: Mapping[str, str]) -> Path | None:
    """The file to read; one that was named must exist."""
    named = config or (Path(environ["MUXI_CONFIG"]) if environ.get("MUXI_CONFIG") else None)
    if named is None:
        found = home / "muxi.yaml"
        return found if _is_there(found) else None
    named = expand_home(named)
    if not _is_there(named):
        where = "--config" if config else "MUXI_CONFIG"
        raise ConfigError(f"{named}: there is no such file ({where} names it).", remedy="Name one that exists.")
    return named


def _is_there(path: Path) -> bool:
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be looked at: {error}.", remedy="Use another --home or --config.") from error
    return True
