"""A server that is added with secrets: what the options mean, and what the person who adds it is shown."""

from __future__ import annotations

from typing import Any

import click
import pytest

from muxi_runtime.catalog.manifest import Manifest
from muxi_runtime.catalog.review import exposures
from muxi_runtime.cli.add_options import add_options, wish_of
from muxi_runtime.cli.candidates import ask, candidate_document, profile_lines
from muxi_runtime.errors import RefusedError
from muxi_runtime.installing.installer import Candidate


def profile_of(*options: str) -> dict[str, Any]:
    found: dict[str, Any] = {}

    @click.command()
    @add_options
    def command(**given: Any) -> None:
        found.update(wish_of("npm:some-server", given).manifest.get("profile", {}))

    command.main([*options], standalone_mode=False)
    return found


def manifest_of(profile: dict[str, Any]) -> Manifest:
    return Manifest.model_validate({"name": "mine", "image": "mine:1", "profile": profile})


def test_a_secret_goes_to_the_named_hosts_which_may_then_be_connected_to() -> None:
    profile = profile_of("--allow", "b.test", "--secret", "TOKEN=a.test", "--secret", "TOKEN=c.test:8443")
    assert profile["secrets"] == {"TOKEN": {"hosts": ["a.test:443", "c.test:8443"]}}
    assert profile["network"] == {"allow": ("b.test", "a.test:443", "c.test:8443")}


def test_who_adds_it_sees_where_its_secrets_go() -> None:
    manifest = manifest_of(profile_of("--secret", "TOKEN=a.test", "--expose-secret", "KEY"))
    shown = dict(profile_lines(manifest))
    assert shown["secrets"] == "KEY, which it sees itself; TOKEN for a.test:443 (header), which it does not see"


@pytest.mark.parametrize(
    "options", [("--secret", "TOKEN"), ("--secret", "token=a.test"), ("--secret", "TOKEN=*.a.test")]
)
def test_an_option_that_names_no_secret_or_host_is_a_usage_error(options: tuple[str, ...]) -> None:
    with pytest.raises(click.UsageError):
        profile_of(*options)


def test_the_same_secret_is_either_sent_or_exposed() -> None:
    with pytest.raises(click.UsageError, match="either"):
        profile_of("--secret", "TOKEN=a.test", "--expose-secret", "TOKEN")


@pytest.mark.promise("secrets-not-inside")
def test_one_that_the_server_sees_is_a_warning_that_yes_does_not_take() -> None:
    manifest = manifest_of(profile_of("--expose-secret", "KEY"))
    candidate = Candidate(manifest, {}, exposures(manifest), [])
    assert "sees the value" in candidate_document(candidate)["findings"][0]["what"]
    with pytest.raises(RefusedError, match="KEY"):
        ask(candidate, yes=True, question="?")
    assert exposures(manifest_of(profile_of("--secret", "TOKEN=a.test"))) == []
