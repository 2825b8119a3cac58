from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from servers_harness import SERVERS

import muxi_servers
from muxi_runtime.catalog.manifest import Manifest, Scope
from muxi_sandbox.contract import WorkspaceAccess

FOLDER = Path(muxi_servers.__file__).parent


@pytest.mark.parametrize("name", [*SERVERS, "documents"])
def test_a_manifest_asks_for_the_workspace_and_nothing_else(name: str) -> None:
    manifest = Manifest.model_validate(yaml.safe_load((FOLDER / name / "manifest.yaml").read_text()))
    assert manifest.name == name
    before = ("muxi-entrypoint",) if name == "code" else ()  # which then is the server
    assert manifest.command == (*before, "python3", "-I", "-m", f"muxi_servers.{name}")
    assert not manifest.init
    assert manifest.profile.workspace is WorkspaceAccess.WRITE
    assert manifest.profile.network.allow == ()
    assert manifest.profile.secrets == {}
    assert manifest.profile.scope is Scope.TASK
    assert not manifest.environment
