"""A `server.json` of the official MCP registry: which package it names, and how that is started.

Format: the registry's server schema (`packages` with registryType, identifier, version, packageArguments,
runtimeArguments and environmentVariables; `remotes` with type and url), as of its 2025 schemas. What the document asks
for is shown to whoever adds it; nothing in it widens a profile.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from muxi_runtime.catalog.sources import Source, parse_source
from muxi_runtime.errors import ConfigError

__all__ = ["ServerDocument", "read_server_json"]

LARGEST_BYTES = 2**20
_KINDS = {"npm": "npm:{0}@{1}", "pypi": "pypi:{0}=={1}", "oci": "oci:{0}:{1}"}


@dataclass(frozen=True, slots=True)
class ServerDocument:
    """What is used of it.

    Attributes:
        name: a name for the server; empty where the document's gives none.
        fields: of the manifest: title, description, arguments, environment.
    """

    source: Source
    name: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)


def read_server_json(path: Path) -> ServerDocument:
    """Read a file.

    Raises:
        ConfigError: it is none, or names nothing that can be added.
    """
    document = _read(path)
    name = _last_word(str(document.get("name", "")))
    fields = {key: str(document[key])[:500] for key in ("title", "description") if isinstance(document.get(key), str)}
    problems: list[str] = []
    for package in _objects(document.get("packages")):
        try:
            return ServerDocument(_source(package), name, {**fields, **_start(package)})
        except ConfigError as error:
            problems.append(str(error))
    for remote in _objects(document.get("remotes")):
        if remote.get("type") == "streamable-http" and isinstance(remote.get("url"), str):
            return ServerDocument(parse_source(remote["url"]), name, fields)
    raise ConfigError(f"{path} names nothing that can be added. {' '.join(problems)}".strip())


def _read(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise ConfigError(f"{path} is larger than a server.json is.")
        document = json.loads(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is no JSON: {error}.") from error
    # The registry's own API wraps it.
    inner = document.get("server", document) if isinstance(document, dict) else None
    if not isinstance(inner, dict):
        raise ConfigError(f"{path} is no server.json: it holds no object.")
    return inner


def _source(package: Mapping[str, Any]) -> Source:
    kind = str(package.get("registryType", package.get("registry_type", "")))
    identifier, version = str(package.get("identifier", "")), str(package.get("version", ""))
    if kind not in _KINDS:
        raise ConfigError(f"Packages of the kind {kind!r} cannot be added.")
    transport = package.get("transport")
    if isinstance(transport, dict) and transport.get("type", "stdio") != "stdio":
        raise ConfigError(f"{identifier} speaks {transport.get('type')!r}, and a package must speak over stdio.")
    if kind == "oci" and (not version or ":" in identifier.rpartition("/")[2] or "@" in identifier):
        return parse_source(f"oci:{identifier}")
    return parse_source(_KINDS[kind].format(identifier, version) if version else f"{kind}:{identifier}")


def _start(package: Mapping[str, Any]) -> dict[str, Any]:
    arguments: list[str] = []
    for argument in _objects(package.get("packageArguments", package.get("package_arguments"))):
        value = argument.get("value", argument.get("default"))
        named = argument.get("name") if argument.get("type") == "named" else None
        if value is None and argument.get("isRequired"):
            hint = argument.get("valueHint") or named or "an argument"
            raise ConfigError(f"It needs {hint}, which the document leaves open: add it by its source, with --arg.")
        if value is not None:
            arguments += [str(part) for part in (named, value) if part]
    variables = {}
    for variable in _objects(package.get("environmentVariables", package.get("environment_variables"))):
        value = variable.get("value", variable.get("default"))
        if value is not None and not variable.get("isSecret"):
            variables[str(variable.get("name"))] = str(value)
    return {key: value for key, value in (("arguments", arguments), ("environment", variables)) if value}


def _objects(value: object) -> Sequence[Mapping[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _last_word(name: str) -> str:
    """`io.github.someone/weather-mcp` is `weather`."""
    words = re.sub(r"[^a-z0-9]+", "-", name.rpartition("/")[2].lower()).strip("-")
    short = re.sub(r"^(?:mcp-server-|server-|mcp-)|(?:-mcp-server|-server|-mcp)$", "", words)
    return short if re.fullmatch(r"[a-z][a-z0-9-]{0,31}", short) else ""
