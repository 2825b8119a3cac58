"""`muxi-runtime config`: what the runtime would go by, and whether the files are right."""

from __future__ import annotations

import click
import yaml

from muxi_runtime.cli.context import Invocation
from muxi_runtime.cli.output import Output, fields, json_option
from muxi_runtime.cli.redaction import redacted
from muxi_runtime.config import read_catalog
from muxi_runtime.errors import ConfigError

__all__ = ["config"]


@click.group()
def config() -> None:
    """Show and check the configuration."""


@config.command()
@json_option
@click.pass_obj
def show(invocation: Invocation, out: Output) -> None:
    """Show every setting with the defaults filled in; what looks like a secret is left out."""
    settings = invocation.settings()
    shown = redacted(settings.model_dump(mode="json"))
    source = f"# from {settings.source or 'the defaults: there is no file'}"
    out.show(shown, source, yaml.safe_dump(shown, sort_keys=False, allow_unicode=True).rstrip())


@config.command()
@json_option
@click.pass_obj
def check(invocation: Invocation, out: Output) -> None:
    """Read muxi.yaml and every manifest; exit 3 when one of them is wrong."""
    settings = invocation.settings()
    catalog = read_catalog(settings)
    if catalog.problems:
        raise ConfigError("\n".join(Exception.__str__(problem) for problem in catalog.problems.values()))
    names, disabled = list(catalog.servers), sorted(catalog.disabled)
    source = str(settings.source) if settings.source else None
    shown = (
        ("file", source or "none: the defaults hold"),
        ("home", settings.home),
        ("servers", ", ".join(names) or "none"),
        ("disabled", ", ".join(disabled) or "none"),
    )
    document = {"file": source, "home": str(settings.home), "servers": names, "disabled": disabled}
    out.show(document, fields(shown), "The configuration is right.")
