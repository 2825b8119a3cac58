"""`muxi-runtime images build|list`: the sandbox images of this installation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from muxi_runtime.cli.context import Invocation

__all__ = ["images"]


@click.group()
def images() -> None:
    """Build and list the sandbox images."""


@images.command("build")
@click.argument("names", nargs=-1)
@click.option("--install-engine", is_flag=True, help="As root, install Debian's docker.io if there is no engine.")
@click.option("--prune", is_flag=True, help="Remove images of former versions afterwards, unless they are in use.")
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON; progress goes to standard error.")
@click.pass_obj
def build(invocation: Invocation, *, names: tuple[str, ...], install_engine: bool, prune: bool, as_json: bool) -> None:
    """Build the named images, or all, that are missing or whose inputs have changed."""
    from muxi_runtime.cli import image_commands  # noqa: PLC0415 - `--help` must not load the rest

    wish = image_commands.Wish(names, may_install=install_engine, prune=prune)
    image_commands.build(invocation.settings(), wish, as_json=as_json)


@images.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def list_images(invocation: Invocation, *, as_json: bool) -> None:
    """Show the images, and whether each is built from its inputs as they are now."""
    from muxi_runtime.cli import image_commands  # noqa: PLC0415 - `--help` must not load the rest

    image_commands.show(invocation.settings().engine, as_json=as_json)
