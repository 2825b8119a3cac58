"""Writes what is derived from each built-in server: its `tools.json`, and its page in `docs/servers/`.

    python scripts/server_pages.py [--check]

Each server is started here, without the libraries of its image: a list of tools needs none of them. `tools.json` is
what the runtime offers before a sandbox of the server has run; the page is made of it, the manifest, and `page.md`.
"""

from __future__ import annotations

import json
import os
import subprocess  # nosec B404 # starts this project's own servers
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
SERVERS = ROOT / "mcp_servers" / "muxi_servers"
PAGES = ROOT / "docs" / "servers"
VERSION = "2025-11-25"
LIST_ID = 2
SECONDS = 60
BOUNDS = (
    ("minimum", "at least", ""),
    ("maximum", "at most", ""),
    ("maxLength", "at most", " characters"),
    ("maxItems", "at most", " items"),
)


def main() -> int:
    """Write, or with `--check` say what is not as it would be written."""
    check = "--check" in sys.argv[1:]
    stale = [path for path, text in derived() if not path.exists() or path.read_text("utf-8") != text]
    if check:
        for path in stale:
            sys.stderr.write(
                f"{path.relative_to(ROOT)} is not what its server says: run python scripts/server_pages.py\n"
            )
        return 1 if stale else 0
    PAGES.mkdir(exist_ok=True)
    for path, text in derived():
        path.write_text(text, "utf-8")
    return 0


def derived() -> Iterator[tuple[Path, str]]:
    """Each file with the text that it should have.

    A server without a manifest, which is added with a document of the operator's, has the page that is written for it.
    """
    index: list[tuple[str, str, int | str]] = []
    for path in sorted(SERVERS.glob("*/manifest.yaml")):
        manifest = yaml.safe_load(path.read_text("utf-8"))
        tools = list_tools(manifest)
        yield path.parent / "tools.json", json.dumps(tools, indent=1, ensure_ascii=False) + "\n"
        own = (path.parent / "page.md").read_text("utf-8")
        yield PAGES / f"{manifest['name']}.md", page(manifest, tools, own)
        index.append((manifest["name"], manifest["description"], len(tools)))
    for path in sorted(SERVERS.glob("*/page.md")):
        if not path.with_name("manifest.yaml").exists():
            name, own = path.parent.name, path.read_text("utf-8")
            yield PAGES / f"{name}.md", f"# {name}\n\n{own.strip()}\n"
            index.append((name, own.partition("\n\n")[0], "its document's"))
    yield PAGES / "README.md", overview(index)


def list_tools(manifest: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What the server lists in a sandbox with the profile that its manifest asks for."""
    module = manifest["command"][manifest["command"].index("-m") + 1]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(SERVERS.parent)}
    if manifest["profile"].get("network", {}).get("allow"):
        environment["HTTPS_PROXY"] = "http://127.0.0.1:1"
    hello = {"protocolVersion": VERSION, "capabilities": {}, "clientInfo": {"name": "pages", "version": "1"}}
    messages = [
        {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "id": LIST_ID, "method": "tools/list"},
    ]
    with tempfile.TemporaryDirectory() as workspace:
        run = subprocess.run(  # noqa: S603 # nosec B603 # a module of this project
            [sys.executable, "-P", "-m", module, "--workspace", workspace],
            input="".join(json.dumps(message) + "\n" for message in messages).encode(),
            stdout=subprocess.PIPE,
            env=environment | dict(manifest.get("environment", {})),
            timeout=SECONDS,
            check=True,
        )
    answers = [json.loads(line) for line in run.stdout.splitlines()]
    result: list[dict[str, Any]] = next(answer for answer in answers if answer.get("id") == LIST_ID)["result"]["tools"]
    return result


def page(manifest: Mapping[str, Any], tools: list[dict[str, Any]], own: str) -> str:
    """The page of one server."""
    parts = [f"# {manifest['name']}", own.strip(), "## What its sandbox gets", profile_table(manifest), "## Tools"]
    parts += [part for tool in tools for part in tool_part(tool)]
    return "\n\n".join(parts) + "\n"


def profile_table(manifest: Mapping[str, Any]) -> str:
    """The profile that the manifest asks for, in words."""
    profile = manifest["profile"]
    hosts = ", ".join(f"`{host}`" for host in profile.get("network", {}).get("allow", ()))
    labels = manifest.get("labels", {})
    carried = [*labels.get("all", ()), *(f"{', '.join(v)}: `{k}`" for k, v in labels.get("tools", {}).items())]
    rows = [
        ("image", f"`{manifest['image']}`"),
        ("workspace", profile.get("workspace", "none")),
        ("hosts", hosts or f"none, until you allow some: `servers.{manifest['name']}.network.allow`"),
        ("secrets", ", ".join(f"`{name}`" for name in profile.get("secrets", {})) or "none"),
        ("limits", f"class `{profile.get('limits_class', 'small')}`" + limits_words(profile.get("limits", {}))),
        ("labels of results", "; ".join(carried) or "those of the task"),
    ]
    return "\n".join(["| | |", "| --- | --- |", *(f"| {name} | {words} |" for name, words in rows)])


def limits_words(limits: Mapping[str, Any]) -> str:
    """Single limits, after their class."""
    return "".join(f", `{name}` {value}" for name, value in limits.items())


def tool_part(tool: Mapping[str, Any]) -> Iterator[str]:
    """Heading, description, hints, arguments and results of one tool."""
    yield f"### {tool['name']}"
    yield cell(tool["description"])
    yield f"{hints(tool['annotations'])}."
    arguments = tool["inputSchema"]["properties"]
    if arguments:
        needed = set(tool["inputSchema"].get("required", ()))
        yield "\n".join(
            ["| argument | type | |", "| --- | --- | --- |"]
            + [
                f"| {f'**`{n}`**' if n in needed else f'`{n}`'} | {kind(s)} | {about(s)} |"
                for n, s in arguments.items()
            ]
        )
    yield "Returns " + (", ".join(f"`{name}`" for name in tool["outputSchema"]["properties"]) or "nothing") + "."


def hints(annotations: Mapping[str, Any]) -> str:
    """What the tool says of its effects."""
    words = ["Only reads" if annotations["readOnlyHint"] else "Changes things"]
    if annotations["destructiveHint"]:
        words.append("may destroy")
    if annotations["idempotentHint"]:
        words.append("the same when done twice")
    if annotations["openWorldHint"]:
        words.append("reaches hosts")
    return ", ".join(words)


def kind(schema: Mapping[str, Any]) -> str:
    """The type of a value, in words."""
    names = schema.get("type", "any")
    names = [names] if isinstance(names, str) else names
    words = " or ".join(names)
    return f"{words} of {kind(schema['items'])}" if "array" in names and "items" in schema else words


def about(schema: Mapping[str, Any]) -> str:
    """Description, choices, bounds and default of an argument."""
    words = [schema.get("description", "")]
    if "enum" in schema:
        words.append("one of " + ", ".join(f"`{choice}`" for choice in schema["enum"]))
    words += [f"{words_for} {schema[name]}{unit}" for name, words_for, unit in BOUNDS if name in schema]
    if "default" in schema:
        words.append(f"default `{json.dumps(schema['default'], ensure_ascii=False)}`")
    return cell("; ".join(word for word in words if word))


def overview(index: list[tuple[str, str, int | str]]) -> str:
    """The page that names all servers."""
    rows = [f"| [{name}]({name}.md) | {count} | {cell(text)} |" for name, text, count in index]
    return "\n".join(
        [
            "# The servers that come with the runtime",
            "",
            "Each runs in a sandbox of its own, made for one task, with no more than its page says. The pages are",
            "made from the servers themselves.",
            "",
            "| server | tools | |",
            "| --- | --- | --- |",
            *rows,
            "",
        ]
    )


def cell(text: str) -> str:
    """Text that stays in its cell."""
    return " ".join(text.replace("|", "\\|").split())


if __name__ == "__main__":
    sys.exit(main())
