"""Limits classes: named sets of limits, from which each server's are made.

    the class        built in, changed or added by the operator: `limits_classes` in muxi.yaml
    the manifest     may lower single ones: it asks for less than its class gives
    the operator     lowers and raises single ones: `servers.NAME.limits`

A class also says which engine runtime its sandboxes run under, such as `runsc`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from muxi_runtime.errors import ConfigError
from muxi_sandbox.contract import Limits

__all__ = ["DEFAULT_CLASS", "LimitsClass", "LimitsClassSettings", "lowered", "named_class", "replaced"]

DEFAULT_CLASS = "small"

BUILT_IN: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        # A server that talks to a service or works on text.
        "small": {},
        # Programs of a person or a model: interpreters, compilers, data.
        "code": {"memory_mib": 1024, "workspace_mib": 512, "workspace_inodes": 50_000},
        # Chromium: many processes and descriptors, pictures, shared memory.
        "browser": {
            "cpus": 2,
            "memory_mib": 2048,
            "pids": 512,
            "open_files": 8192,
            "tmp_mib": 256,
            "shm_mib": 512,
            "frame_mib": 32,
            "output_mib": 256,
        },
    }
)
"""What differs from the defaults of `Limits`."""


class LimitsClassSettings(BaseModel):
    """One class in muxi.yaml: changes a built-in one, or makes a new one of the defaults."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    limits: dict[str, float] = Field(default_factory=dict, description="single limits")
    runtime: str | None = Field(None, description="engine runtime, e.g. runsc; absent: `engine.runtime`")


@dataclass(frozen=True, slots=True)
class LimitsClass:
    """A class as it is in force."""

    name: str
    limits: Limits
    runtime: str | None


def named_class(name: str, settings: Mapping[str, LimitsClassSettings]) -> LimitsClass:
    """The class of that name.

    Raises:
        ConfigError: there is none, or what the operator made of it is wrong.
    """
    if name not in BUILT_IN and name not in settings:
        known = sorted({*BUILT_IN, *settings})
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ConfigError(
            f"There is no limits class {name[:60]!r}{hint}",
            remedy=f"Use one of {', '.join(known)}, or define it under limits_classes in muxi.yaml.",
        )
    own = settings.get(name, LimitsClassSettings())
    base = Limits.model_validate(dict(BUILT_IN.get(name, {})))
    return LimitsClass(name, replaced(base, own.limits, f"limits_classes.{name}.limits"), own.runtime)


def replaced(limits: Limits, changes: Mapping[str, float], where: str) -> Limits:
    """The limits with single ones replaced.

    Raises:
        ConfigError: one that does not exist or is out of range; `where` is its place in muxi.yaml.
    """
    try:
        return Limits.model_validate({**limits.model_dump(), **changes})
    except ValidationError as error:
        raise ConfigError("\n".join(_complaints(error, where)), remedy="Correct muxi.yaml.") from error


def _complaints(error: ValidationError, where: str) -> Iterator[str]:
    for item in error.errors(include_url=False, include_context=False, include_input=False):
        limit = str(item["loc"][-1])
        near = difflib.get_close_matches(limit, Limits.model_fields, n=1)
        unknown = f"unknown; did you mean {near[0]!r}?" if near else "unknown"
        yield f"{where}.{limit}: {unknown if item['type'] == 'extra_forbidden' else item['msg']}"


def lowered(limits: LimitsClass, asked: Limits, server: str) -> Limits:
    """The class's limits with those that the manifest sets, which must not be higher.

    Raises:
        ConfigError: it asks for more.
    """
    changes = asked.model_dump(include=set(asked.model_fields_set))
    ceilings = limits.limits.model_dump()
    higher = [
        f"profile.limits.{name}: {value:g} is more than the {ceilings[name]:g} of the limits class {limits.name!r}."
        for name, value in changes.items()
        if value > ceilings[name]
    ]
    if higher:
        raise ConfigError(
            "\n".join(higher),
            remedy=f"A manifest can only ask for less. An operator can raise it: servers.{server}.limits in muxi.yaml, "
            f"or choose another class: servers.{server}.limits_class.",
        )
    return Limits.model_validate({**ceilings, **changes})
