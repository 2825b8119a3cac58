"""Servers that were added with a command, as they lie in the state folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from muxi_runtime.catalog.added import AddedServers
from muxi_runtime.catalog.catalog import load_catalog
from muxi_runtime.catalog.manifest import Install, Manifest
from muxi_runtime.catalog.settings import ServerSettings

IMAGE = "sha256:" + "a" * 64


def manifest(name: str = "notes", **more: object) -> Manifest:
    install = Install(source="npm:notes@1.0.0", constraints=("a<2",))
    return Manifest(name=name, image=IMAGE, command=("node", "/opt/server/x.js"), install=install, **more)  # type: ignore[arg-type]


def test_what_is_put_is_a_server_of_the_catalog(tmp_path: Path) -> None:
    added = AddedServers(tmp_path)
    added.put(manifest(arguments=("--x", "ü")), [{"name": "notes", "version": "1.0.0", "hash": "sha512-x"}])
    catalog = load_catalog({}, {}, added=added)
    assert catalog.problems == {}
    server = catalog.servers["notes"]
    assert (server.image, server.arguments, server.built_in) == (IMAGE, ("--x", "ü"), False)
    assert server.install == manifest().install
    assert added.parts("notes") == [{"name": "notes", "version": "1.0.0", "hash": "sha512-x"}]


def test_putting_it_again_replaces_it_whole(tmp_path: Path) -> None:
    added = AddedServers(tmp_path)
    added.put(manifest(title="one"), [{"name": "a"}])
    added.put(manifest(title="two"), [])
    assert load_catalog({}, {}, added=added).servers["notes"].title == "two"
    assert added.parts("notes") == []
    assert sorted(path.name for path in added.folder.iterdir()) == ["notes"]


def test_what_is_disabled_is_not_offered_until_it_is_enabled(tmp_path: Path) -> None:
    added = AddedServers(tmp_path)
    added.put(manifest(), [])
    added.disable("notes")
    assert load_catalog({}, {}, added=added).disabled == {"notes"}
    added.enable("notes")
    assert set(load_catalog({}, {}, added=added).servers) == {"notes"}


def test_what_is_removed_is_gone_and_its_switch_with_it(tmp_path: Path) -> None:
    added = AddedServers(tmp_path)
    added.put(manifest(), [])
    added.disable("notes")
    assert added.remove("notes")
    assert not added.remove("notes")
    assert list(added.folder.iterdir()) == []


def test_the_operators_settings_narrow_an_added_server(tmp_path: Path) -> None:
    added = AddedServers(tmp_path)
    wide = {"network": {"allow": ("example.com", "example.org")}}
    added.put(Manifest.model_validate({**manifest().model_dump(), "profile": wide}), [])
    settings = {"notes": ServerSettings.model_validate({"network": {"allow": ["example.com"]}})}
    assert load_catalog(settings, {}, added=added).servers["notes"].profile.network.allow == ("example.com",)


@pytest.mark.parametrize("name", ["files", "muxi"])
def test_no_added_server_stands_in_for_one_of_the_runtimes_own(tmp_path: Path, name: str) -> None:
    added = AddedServers(tmp_path)
    added.put(manifest(name), [])
    own = {"files": tmp_path / "none.yaml"}
    assert name in load_catalog({}, own, added=added).problems


def test_a_name_that_muxi_yaml_gives_to_another_is_a_problem_of_that_name(tmp_path: Path) -> None:
    added = AddedServers(tmp_path)
    added.put(manifest(), [])
    settings = {"notes": ServerSettings(manifest=tmp_path / "other.yaml")}
    catalog = load_catalog(settings, {}, added=added)
    assert "was added with a command" in str(catalog.problems["notes"])
