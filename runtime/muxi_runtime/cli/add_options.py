"""The options of `servers add`, and the wish that they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from muxi_runtime.installing.installer import Wish

__all__ = ["add_options", "key_option", "wish_of"]

Command = TypeVar("Command", bound=Callable[..., Any])

key_option = click.option("--key", envvar="MUXI_KEY", help="An API key, where the runtime wants one. [env: MUXI_KEY]")

_OPTIONS = (
    click.option("--name", help="What to call it; absent: what is left of the source's name."),
    click.option("--program", help="Which program to start, where the package has several."),
    click.option("--arg", "arguments", multiple=True, help="An argument for the program; may be given again."),
    click.option("--env", "variables", multiple=True, metavar="NAME=VALUE", help="A variable, no secret; again too."),
    click.option("--allow", multiple=True, metavar="HOST", help="A host that it may connect to; again too."),
    click.option("--secret", "secrets", multiple=True, metavar="NAME=HOST", help="A secret that HOST gets; again too."),
    click.option("--expose-secret", "exposed", multiple=True, metavar="NAME", help="One that it sees itself."),
    click.option("--workspace", type=click.Choice(("none", "read", "write")), help="How it sees the task's files."),
    click.option("--limits-class", help="small, code, browser, or one of muxi.yaml."),
    click.option("--browser", is_flag=True, help="It runs a browser: more memory, and namespaces for its own sandbox."),
    click.option("--constraint", "constraints", multiple=True, help="For Python packages, as mcp<2; again too."),
    click.option("--debian", multiple=True, metavar="PACKAGE", help="A Debian package for its image; again too."),
    click.option("--node", help="Version of Node.js, as 22; absent: the image's own."),
    click.option("--python", help="Version of Python, as 3.11; absent: the image's own."),
    click.option("--server", metavar="URL", help="Of openapi: where requests go, whatever the document says."),
    click.option(
        "--operation", "operations", multiple=True, metavar="PATTERN", help="Of openapi: only these; again too."
    ),
)


_OF_DOCUMENTS = ("server", "operations")
_OF_PROGRAMS = {
    "program": "--program",
    "arguments": "--arg",
    "variables": "--env",
    "allow": "--allow",
    "secrets": "--secret",
    "exposed": "--expose-secret",
    "workspace": "--workspace",
    "browser": "--browser",
    "constraints": "--constraint",
    "debian": "--debian",
    "node": "--node",
    "python": "--python",
}


def add_options(command: Command) -> Command:
    """Add them, in this order."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def wish_of(source: str, options: Mapping[str, Any]) -> Wish:
    """What a person asked for.

    Raises:
        ConfigError: the source is none.
        click.UsageError: an option does not fit.
    """
    from muxi_runtime.catalog.manifest import Install  # noqa: PLC0415 - `--help` must not load the rest
    from muxi_runtime.catalog.sources import SourceKind, parse_source  # noqa: PLC0415 - as above
    from muxi_runtime.installing.installer import Wish  # noqa: PLC0415 - as above
    from muxi_runtime.installing.server_json import read_server_json  # noqa: PLC0415 - as above

    is_file = source.endswith(".json") and not source.startswith(f"{SourceKind.OPENAPI}:")
    document = read_server_json(Path(source)) if is_file else None
    parsed = document.source if document else parse_source(source)
    _check_fit(parsed.kind is SourceKind.OPENAPI, options)
    name = options["name"] or (document.name if document else "") or parsed.suggested_name
    if not name:
        raise click.UsageError("No name for the server could be made of the source: give --name.")
    install = Install(
        source=str(parsed),
        constraints=options["constraints"],
        debian=options["debian"],
        node=options["node"] or "",
        python=options["python"] or "",
        program=options["program"] or "",
        server=options["server"] or "",
        operations=options["operations"],
    )
    fields = _fields(options, document.fields if document else {})
    return Wish(name, parsed, install, fields)


def _check_fit(is_document: bool, options: Mapping[str, Any]) -> None:  # noqa: FBT001 - one caller
    """A document says itself which hosts and secrets there are, and has no program of its own."""
    if is_document:
        for name, option in _OF_PROGRAMS.items():
            if options[name]:
                raise click.UsageError(
                    f"{option} is not for a document of OpenAPI: its servers and security are its own."
                )
    elif any(options[name] for name in _OF_DOCUMENTS):
        raise click.UsageError("--server and --operation are for documents of OpenAPI: openapi:FILE or openapi:URL.")


def _fields(options: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of the manifest, what was typed before what the document says."""
    profile: dict[str, Any] = {}
    secrets = _secrets(options["secrets"], options["exposed"])
    hosts = [host for use in secrets.values() for host in use.get("hosts", ())]
    if options["allow"] or hosts:
        profile["network"] = {"allow": tuple(dict.fromkeys((*options["allow"], *hosts)))}
    if secrets:
        profile["secrets"] = secrets
    if options["workspace"]:
        profile["workspace"] = options["workspace"]
    if options["browser"]:
        profile |= {"limits_class": "browser", "seccomp": "browser"}
    if options["limits_class"]:
        profile["limits_class"] = options["limits_class"]
    variables = dict(map(_variable, options["variables"]))
    fields = {
        **given,
        "arguments": (*given.get("arguments", ()), *options["arguments"]),
        "environment": {**given.get("environment", {}), **variables},
        "profile": profile,
    }
    return {name: value for name, value in fields.items() if value}


def _secrets(sent: Sequence[str], exposed: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The profile's secrets; whoever gets one may be connected to."""
    from muxi_runtime.catalog.secret_profile import SecretProfile, wrong_secrets  # noqa: PLC0415 - see `wish_of`

    found: dict[str, dict[str, Any]] = {name: {"expose": "env"} for name in exposed}
    for text in sent:
        name, _, host = text.partition("=")
        if not host:
            raise click.BadParameter(f"{text!r} is not NAME=HOST", param_hint="--secret")
        host = host if ":" in host else f"{host}:443"
        found.setdefault(name, {}).setdefault("hosts", []).append(host)
    hosts = [host for use in found.values() for host in use.get("hosts", ())]
    try:
        profiles = {name: SecretProfile.model_validate(use) for name, use in found.items()}
        wrong = list(wrong_secrets(profiles, hosts, "secret"))
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--secret") from error
    if wrong:
        raise click.BadParameter(" ".join(wrong), param_hint="--secret")
    return found


def _variable(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise click.BadParameter(f"{text!r} is not NAME=VALUE", param_hint="--env")
    return name, value
