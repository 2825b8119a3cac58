"""Settings of the vault: the `secrets:` section of muxi.yaml."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["KEY_FILE", "VaultSettings"]

KEY_FILE = "vault.key"


class VaultSettings(BaseModel):
    """Where the key lies that values of secrets are encrypted with."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key_file: Path | None = Field(
        None, description="the key of the encryption, read by its owner alone; absent: `vault.key` in the home folder"
    )

    def key_path(self, home: Path) -> Path:
        """The file, in the home folder unless it is named."""
        return self.key_file or home / KEY_FILE
