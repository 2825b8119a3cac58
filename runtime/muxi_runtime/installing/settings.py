"""Settings of installing servers: the `install:` section of muxi.yaml."""

from __future__ import annotations

from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator

from muxi_sandbox.contract import Limits

__all__ = ["InstallSettings"]


class InstallSettings(BaseModel):
    """Where packages come from, and how much installing one may take."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    npm_registry: str | None = Field(None, description="URL; absent: npm's own default")
    pypi_index: str | None = Field(None, description="URL of a simple index; absent: pip's own default")
    hosts: tuple[str, ...] = Field((), description="hosts besides that packages are downloaded from")
    memory_mib: int = Field(4096, ge=256, description="memory of the installing sandbox, the files in it included")
    disk_mib: int = Field(2048, ge=64, description="size of what is installed, caches included")
    seconds: float = Field(600, gt=0, le=600, description="one package, with all that it depends on")

    @field_validator("npm_registry", "pypi_index")
    @classmethod
    def _is_url(cls, value: str | None) -> str | None:
        if value is not None:
            parts = urlsplit(value)
            if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username or parts.password:
                raise ValueError(f"{value!r} is no http or https URL without credentials")
        return value

    @property
    def limits(self) -> Limits:
        """Of the installing sandbox: compilers and thousands of small files need more than a server does."""
        return Limits(
            cpus=2,
            memory_mib=self.memory_mib,
            pids=512,
            open_files=4096,
            tmp_mib=256,
            workspace_mib=self.disk_mib,
            workspace_inodes=400_000,
            call_seconds=self.seconds,
        )
