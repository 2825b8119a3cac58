"""How a server that could be added is shown, and how a person is asked."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click
from rich.console import RenderableType

from muxi_runtime.catalog.manifest import Manifest
from muxi_runtime.catalog.pins import PinKind, name_of
from muxi_runtime.catalog.review import Finding
from muxi_runtime.catalog.secret_profile import SecretProfile
from muxi_runtime.cli.output import fields, plain, table
from muxi_runtime.errors import RefusedError
from muxi_runtime.installing.installer import Candidate

__all__ = ["ask", "candidate_document", "profile_lines", "require_somebody", "shown_candidate"]

LONGEST = 90


def candidate_document(candidate: Candidate) -> dict[str, Any]:
    """For programs."""
    return {
        "manifest": candidate.manifest.model_dump(mode="json", exclude_defaults=True),
        **{f"{kind}s": list(definitions) for kind, definitions in candidate.lists.items()},
        "findings": [{"tool": f.tool, "where": f.where, "what": f.what, "text": f.text} for f in candidate.findings],
        "parts": list(candidate.parts),
        "notes": list(candidate.notes),
    }


def shown_candidate(candidate: Candidate) -> list[RenderableType | str]:
    """For people: what it is, what it would get, its tools, what is suspicious."""
    manifest = candidate.manifest
    install = manifest.install
    what = [
        ("name", manifest.name),
        ("source", install.source if install else None),
        ("runs", manifest.image or f"elsewhere, in no sandbox, at {manifest.url}"),
        ("installed", f"{len(candidate.parts)} packages" if candidate.parts else None),
        *profile_lines(manifest),
    ]
    tools = [(str(d.get("name", "")), _hints(d), _first(d)) for d in candidate.definitions]
    parts: list[RenderableType | str] = [fields(what), "", table(("tool", "says that it", ""), tools)]
    for kind in (PinKind.PROMPT, PinKind.TEMPLATE):
        if candidate.lists[kind]:
            rows = [(name_of(kind, d), _first(d)) for d in candidate.lists[kind]]
            parts += ["", table((kind.value, ""), rows)]
    if candidate.notes:
        parts += ["", *candidate.notes]
    if candidate.findings:
        parts += ["", plain("This looks suspicious:", "bold red"), _findings(candidate.findings)]
    return parts


def profile_lines(manifest: Manifest) -> list[tuple[str, object]]:
    """What its sandbox would get."""
    profile = manifest.profile
    return [
        ("network", ", ".join(profile.network.allow) or "none"),
        ("workspace", profile.workspace.value),
        ("secrets", "; ".join(_secret(name, use) for name, use in profile.secrets.items()) or "none"),
        ("environment", ", ".join(manifest.environment) or "none"),
        ("limits", profile.limits_class),
        ("system calls", "also those for user namespaces" if profile.seccomp == "browser" else "the usual ones"),
    ]


def _secret(name: str, use: SecretProfile) -> str:
    if use.expose:
        return f"{name}, which it sees itself"
    return f"{name} for {', '.join(use.hosts)} ({', '.join(use.places)}), which it does not see"


def require_somebody(*, yes: bool, as_json: bool) -> None:
    """Refuse before anything is installed where nobody could be asked in the end.

    Raises:
        RefusedError: there is no terminal, or programs read what is printed.
    """
    if not yes and (as_json or not sys.stdin.isatty()):
        raise RefusedError(
            "Nothing was done: nobody is there to be asked.", remedy="Run it in a terminal, or add --yes."
        )


def ask(candidate: Candidate, *, yes: bool, question: str) -> bool:
    """Whether it may be added.

    Raises:
        RefusedError: `--yes` for one that is not clean.
    """
    if yes and candidate.findings:
        first = candidate.findings[0]
        raise RefusedError(
            f"Not done: {len(candidate.findings)} things about {candidate.manifest.name} look suspicious,"
            f" and --yes takes only what is clean. The first: {first.tool}, {first.where}: {first.what} ({first.text})",
            remedy="Run the command again without --yes to see all of them and decide.",
        )
    if yes:
        return True
    return click.confirm(question, default=False)


def _findings(findings: Sequence[Finding]) -> RenderableType:
    return table(("tool", "where", "what", "text"), [(f.tool, f.where, f.what, f.text) for f in findings])


def _hints(definition: Mapping[str, Any]) -> str:
    hints = definition.get("annotations")
    hints = hints if isinstance(hints, Mapping) else {}
    if hints.get("readOnlyHint"):
        says = ["only reads"]
    else:
        says = ["may destroy"] if hints.get("destructiveHint", True) else ["only adds"]
    return ", ".join([*says, *(["reaches outside"] if hints.get("openWorldHint", True) else [])])


def _first(definition: Mapping[str, Any]) -> str:
    text = " ".join(str(definition.get("description") or definition.get("title") or "").split())
    return text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."
