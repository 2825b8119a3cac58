"""The texts of the seccomp profiles, which live in the package `muxi_images`."""

from __future__ import annotations

import json
from functools import cache
from importlib import resources

from muxi_sandbox.errors import SpecRefusedError

__all__ = ["seccomp_profile"]


@cache
def seccomp_profile(name: str) -> str:
    """The profile as the engine takes it: JSON without white space. `name` has passed `Spec`'s pattern.

    Raises:
        SpecRefusedError: there is none of that name.
    """
    path = resources.files("muxi_images") / "seccomp" / f"{name}.json"
    try:
        return json.dumps(json.loads(path.read_text("utf-8")), separators=(",", ":"))
    except FileNotFoundError:
        raise SpecRefusedError(
            f"There is no seccomp profile {name!r}. Name one of the files in images/muxi_images/seccomp."
        ) from None
