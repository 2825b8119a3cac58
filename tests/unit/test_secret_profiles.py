"""Which server may do what with a secret: its manifest asks, the operator has the last word."""

from __future__ import annotations

from pathlib import Path

import pytest

from muxi_runtime.catalog.catalog import Catalog, load_catalog
from muxi_runtime.catalog.secret_profile import SecretProfile, hosts_of
from muxi_runtime.catalog.settings import NetworkSettings, ServerSettings

HEAD = "name: mine\nimage: some:1\n"
TWO_HOSTS = """profile:
  network: {allow: [a.test, "*.b.test:8443"]}
  secrets:
    TOKEN: {hosts: [a.test, "x.b.test:8443"], places: [header, query]}
"""


def catalog_of(folder: Path, profile: str, **settings: object) -> Catalog:
    path = folder / "manifest.yaml"
    path.write_text(HEAD + profile)
    return load_catalog({"mine": ServerSettings.model_validate({"manifest": path, **settings})}, {})


def problem_of(catalog: Catalog) -> str:
    return str(catalog.problems["mine"])


def test_a_manifest_names_hosts_and_places(tmp_path: Path) -> None:
    use = catalog_of(tmp_path, TWO_HOSTS).servers["mine"].profile.secrets["TOKEN"]
    assert hosts_of(use) == (("a.test", 443), ("x.b.test", 8443))
    assert use.places == ("header", "query")


def test_a_host_that_the_operator_closes_gets_no_secret_either(tmp_path: Path) -> None:
    catalog = catalog_of(tmp_path, TWO_HOSTS, network=NetworkSettings(allow=("a.test",)))
    assert catalog.servers["mine"].profile.secrets["TOKEN"].hosts == ("a.test",)


def test_the_operator_replaces_what_a_manifest_asks_for(tmp_path: Path) -> None:
    own = {"TOKEN": SecretProfile(hosts=("a.test",)), "OTHER": SecretProfile(expose="env")}
    assert catalog_of(tmp_path, TWO_HOSTS, secrets=own).servers["mine"].profile.secrets == own
    nowhere = catalog_of(tmp_path, TWO_HOSTS, secrets={"TOKEN": {}})
    assert nowhere.servers["mine"].profile.secrets["TOKEN"].hosts == ()


@pytest.mark.parametrize(
    ("secrets", "reason"),
    [
        ({"TOKEN": {"hosts": ["c.test"]}}, "not among the hosts"),
        ({"TOKEN": {"hosts": ["a.test:22"]}}, "not among the hosts"),
        ({"TOKEN": {"hosts": ["*.b.test:8443"]}}, "is no host"),
        ({"TOKEN": {"hosts": ["a.test"], "expose": "env"}}, "either `hosts` or `expose: env`"),
        ({"TOKEN": {"hosts": ["a.test"], "places": []}}, "name at least one"),
        ({"PATH NAME": {"hosts": ["a.test"]}}, "is no name"),
    ],
)
def test_what_the_operator_gets_wrong_is_told_with_its_place(
    tmp_path: Path, secrets: dict[str, object], reason: str
) -> None:
    problem = problem_of(catalog_of(tmp_path, TWO_HOSTS, secrets=secrets))
    assert "servers.mine.secrets" in problem
    assert reason in problem


def test_a_server_elsewhere_has_no_secrets(tmp_path: Path) -> None:
    (tmp_path / "manifest.yaml").write_text(
        "name: mine\nurl: https://a.test/mcp\nprofile: {secrets: {TOKEN: {expose: env}}}\n"
    )
    catalog = load_catalog({"mine": ServerSettings(manifest=tmp_path / "manifest.yaml")}, {})
    assert "profile.secrets: is for servers in a sandbox" in problem_of(catalog)
