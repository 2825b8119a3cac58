"""The servers that this runtime knows: its own, and those that the operator names in muxi.yaml.

Above it: the gateway, which offers what is in `Catalog.servers`. Below it: manifests on disk. A server whose
manifest cannot be used hides only itself and is named in `Catalog.problems`. Whatever a manifest asks for
that this version cannot grant safely is refused as a whole: a server is never started with less protection
than its manifest says.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from muxi_runtime.catalog.added import AddedServers
from muxi_runtime.catalog.builtin import built_in_manifests
from muxi_runtime.catalog.limits import LimitsClassSettings, lowered, named_class, replaced
from muxi_runtime.catalog.manifest import Manifest, NetworkProfile, Profile, Scope
from muxi_runtime.catalog.secret_profile import SecretProfile, permitted, wrong_secrets
from muxi_runtime.catalog.settings import NetworkSettings, ServerSettings
from muxi_runtime.errors import ConfigError
from muxi_runtime.yaml_model import load_yaml_model
from muxi_sandbox.egress.names import parse_rule

__all__ = ["RESERVED", "Catalog", "granted", "load_catalog", "load_manifest"]

RESERVED = frozenset({"muxi"})
"""Names of servers that run in the host itself: no manifest may take one."""

VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Catalog:
    """What there is.

    Attributes:
        servers: by name, built-in ones first; profiles narrowed or raised as the operator says.
        problems: by the name in muxi.yaml (or the built-in's): why a server is not offered.
        disabled: names that the operator switched off.
    """

    servers: Mapping[str, Manifest] = field(default_factory=dict)
    problems: Mapping[str, ConfigError] = field(default_factory=dict)
    disabled: frozenset[str] = frozenset()

    def is_built_in(self, server: str) -> bool:
        """Whether it is a server that comes with this runtime."""
        return server in self.servers and self.servers[server].built_in


def load_catalog(
    settings: Mapping[str, ServerSettings],
    built_in: Mapping[str, Path] | None = None,
    classes: Mapping[str, LimitsClassSettings] | None = None,
    added: AddedServers | None = None,
) -> Catalog:
    """Read every manifest.

    Args:
        settings: the `servers:` section, by server name.
        built_in: manifests of built-in servers by name; `None` for those installed with this runtime.
        classes: the `limits_classes:` section, by class.
        added: the servers that were added with a command.
    """
    own = built_in_manifests() if built_in is None else built_in
    more = added.manifests() if added else {}
    servers: dict[str, Manifest] = {}
    problems: dict[str, ConfigError] = {}
    names = list(dict.fromkeys([*own, *more, *settings]))
    off = added.disabled() if added else frozenset()
    disabled = frozenset(name for name in names if name in off or (name in settings and not settings[name].enabled))
    for name in names:
        if name in disabled:
            continue
        try:
            servers[name] = _server(name, settings.get(name, ServerSettings()), own, more, classes or {})
        except ConfigError as error:
            problems[name] = error
    return Catalog(servers, problems, disabled)


def load_manifest(path: Path, name: str) -> Manifest:
    """Read one manifest and refuse what a manifest may not say or this version cannot grant.

    Raises:
        ConfigError: with one line for each thing wrong.
    """
    manifest = load_yaml_model(path, Manifest)
    refused = list(_refusals(manifest, name))
    if refused:
        raise ConfigError("\n".join(f"{path}: {reason}" for reason in refused))
    return manifest


def _server(
    name: str,
    settings: ServerSettings,
    own: Mapping[str, Path],
    added: Mapping[str, Path],
    classes: Mapping[str, LimitsClassSettings],
) -> Manifest:
    if name in RESERVED:
        raise ConfigError(f"servers.{name}: the name is reserved for the runtime itself.", remedy="Choose another.")
    if (settings.manifest or name in added) and name in own:
        raise ConfigError(
            f"servers.{name}: a built-in server has this name, and another may not stand in for it.",
            remedy="Give the server with your manifest a name of its own.",
        )
    if settings.manifest and name in added:
        raise ConfigError(
            f"servers.{name}: a server of this name was added with a command.",
            remedy=f"Remove it with `muxi-runtime servers remove {name}`, or give yours another name.",
        )
    path = settings.manifest or added.get(name) or own.get(name)
    if path is None:
        raise ConfigError(
            f"servers.{name}: there is no built-in server of this name.",
            remedy=f"Give its `manifest:`, add it with `servers add`, or use one of {', '.join(own) or 'none'}.",
        )
    manifest = load_manifest(path, name)
    if name in own and (unknown := sorted(settings.environment.keys() - manifest.environment.keys())):
        raise ConfigError(
            f"servers.{name}.environment: the server knows no {unknown[0][:64]!r}.",
            remedy=f"Use {', '.join(manifest.environment)}."
            if manifest.environment
            else "It knows none: leave it out.",
        )
    given = granted(manifest, settings, classes)
    # Whether it reaches hosts, and which, is all that a server's tools may depend on.
    same = given.profile.network == manifest.profile.network and given.profile.secrets == manifest.profile.secrets
    return given.model_copy(update={"built_in": name in own, "as_shipped": name in own and same})


def granted(manifest: Manifest, settings: ServerSettings, classes: Mapping[str, LimitsClassSettings]) -> Manifest:
    """The manifest with what the operator makes of the profile that it asks for.

    Raises:
        ConfigError: a limits class or limit that there is not.
    """
    profile = manifest.profile.model_copy(update=_granted(manifest.name, settings, manifest.profile, classes))
    return manifest.model_copy(
        update={"profile": profile, "environment": _environment(manifest, settings.environment, profile)}
    )


def _granted(
    name: str, settings: ServerSettings, profile: Profile, classes: Mapping[str, LimitsClassSettings]
) -> dict[str, object]:
    """What the operator makes of the profile that a manifest asks for."""
    limits_class = named_class(settings.limits_class or profile.limits_class, classes)
    limits = replaced(lowered(limits_class, profile.limits, name), settings.limits, f"servers.{name}.limits")
    granted: dict[str, object] = {
        "limits_class": limits_class.name,
        "limits": limits,
        "runtime": limits_class.runtime,
    }
    if settings.network is not None:
        granted["network"] = _network(name, settings.network)
    allow = profile.network.allow if settings.network is None else settings.network.allow
    granted["secrets"] = _secrets(name, settings.secrets, profile.secrets, allow)
    return granted


def _environment(manifest: Manifest, own: Mapping[str, str], profile: Profile) -> dict[str, str]:
    """The manifest's variables, those that the operator names in their place."""
    where = f"servers.{manifest.name}.environment"
    if own and manifest.is_remote:
        raise ConfigError(f"{where}: is for servers in a sandbox; one with a `url` has none.", remedy="Leave it out.")
    for variable in own:
        if not VARIABLE_NAME.fullmatch(variable):
            raise ConfigError(f"{where}: {variable[:64]!r} is no name of a variable.", remedy="Correct muxi.yaml.")
        if variable in profile.secrets:
            raise ConfigError(
                f"{where}: {variable} is a secret of this server, whose variable holds what stands for it.",
                remedy="Leave it out, and set the secret: `muxi-runtime secrets set`.",
            )
    return {**manifest.environment, **own}


def _secrets(
    name: str, own: Mapping[str, SecretProfile], asked: Mapping[str, SecretProfile], allow: tuple[str, ...]
) -> dict[str, SecretProfile]:
    """What the manifest asks for, as far as its hosts are still allowed; the operator's word counts."""
    wrong = list(wrong_secrets(own, allow, f"servers.{name}.secrets"))
    if wrong:
        raise ConfigError("\n".join(wrong), remedy="Correct muxi.yaml.")
    return {**{secret: permitted(use, allow) for secret, use in asked.items()}, **own}


def _network(name: str, settings: NetworkSettings) -> NetworkProfile:
    wrong = [f"servers.{name}.network.allow: {host!r} is no host: {why}." for host, why in _wrong_hosts(settings.allow)]
    if wrong:
        raise ConfigError("\n".join(wrong), remedy="Correct muxi.yaml.")
    return NetworkProfile(allow=settings.allow)


def _wrong_hosts(hosts: Iterable[str]) -> Iterator[tuple[str, str]]:
    for host in hosts:
        try:
            parse_rule(host)
        except ValueError as error:
            yield host, str(error)


def _presumptions(manifest: Manifest) -> Iterator[str]:
    if "built_in" in manifest.model_fields_set:
        yield "built_in: not for a manifest to say."
    if "runtime" in manifest.profile.model_fields_set:
        yield "profile.runtime: not for a manifest to say."


def _remote_refusals(manifest: Manifest) -> Iterator[str]:
    """What only a sandbox could honour: a promise that nobody keeps is worse than none."""
    given = manifest.model_fields_set & {"command", "init", "warm", "pause", "environment"}
    for name in sorted(given):
        yield f"{name}: is for servers in a sandbox; one with a `url` has none."
    for name in sorted(
        manifest.profile.model_fields_set & {"workspace", "network", "secrets", "limits_class", "limits"}
    ):
        yield f"profile.{name}: is for servers in a sandbox; one with a `url` has none."


def _secret_refusals(manifest: Manifest) -> Iterator[str]:
    profile = manifest.profile
    yield from wrong_secrets(profile.secrets, profile.network.allow, "profile.secrets")
    for name, use in profile.secrets.items():
        if not use.hosts and not use.expose:
            yield f"profile.secrets.{name}: name the hosts that get it."
        if name in manifest.environment:
            yield f"profile.secrets.{name}: `environment` has a variable of that name already."


def _refusals(manifest: Manifest, name: str) -> Iterator[str]:
    profile = manifest.profile
    if manifest.name != name:
        yield f"name: is {manifest.name!r}, but the server is called {name!r}."
    yield from _presumptions(manifest)
    if manifest.is_remote:
        yield from _remote_refusals(manifest)
    wrong_hosts = [f"{host!r} is no host: {reason}." for host, reason in _wrong_hosts(profile.network.allow)]
    yield from (f"profile.network.allow: {wrong}" for wrong in wrong_hosts)
    if not wrong_hosts:
        yield from _secret_refusals(manifest)
    if profile.scope is Scope.SHARED:
        yield "profile.scope: `shared` is not available in this version; use `task`."
    for variable in manifest.environment:
        if not VARIABLE_NAME.fullmatch(variable):
            yield f"environment: {variable!r} is no name of a variable."
