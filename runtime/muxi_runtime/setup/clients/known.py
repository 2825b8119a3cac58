"""The clients that can be set up, where each keeps its configuration, and in which form.

The places and forms are those of each client's own documentation, late in 2026. A client is one row of `KNOWN`.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from muxi_runtime.setup.clients import json_edit, toml_edit
from muxi_runtime.setup.clients.entry import Form
from muxi_runtime.setup.clients.texts import Format

__all__ = ["KNOWN", "Client", "Machine"]

JSON = Format(json_edit.found, json_edit.snippet, json_edit.with_entry, json_edit.without_entry, plain=True)
JSON_WITH_COMMENTS = Format(json_edit.found, json_edit.snippet, json_edit.with_entry, json_edit.without_entry)
TOML = Format(toml_edit.found, toml_edit.snippet, toml_edit.with_entry, toml_edit.without_entry)


@dataclass(frozen=True, slots=True)
class Machine:
    """Whose files, and on which system.

    Attributes:
        platform: as `sys.platform` has it.
    """

    platform: str
    home: Path
    environ: Mapping[str, str]

    @property
    def settings(self) -> Path:
        """Where applications with a window keep their settings."""
        if self.platform == "darwin":
            return self.home / "Library" / "Application Support"
        if self.platform == "win32":
            return self.named("APPDATA") or self.home / "AppData" / "Roaming"
        return self.named("XDG_CONFIG_HOME") or self.home / ".config"

    def named(self, variable: str) -> Path | None:
        """The absolute path that a variable holds, if it holds one."""
        path = Path(self.environ.get(variable, ""))
        return path if path.is_absolute() else None

    def has(self, program: str) -> bool:
        """Whether a program is on the search path."""
        return bool(program) and shutil.which(program, path=self.environ.get("PATH", "")) is not None


@dataclass(frozen=True, slots=True)
class Client:
    """One client.

    Attributes:
        section: of its file, where its servers are listed.
        program: its command, by which one tells that it is installed; empty if it has none.
        project: its file within a project's folder; empty if it reads none.
        afterwards: what has to be done so that it reads its file again.
    """

    name: str
    title: str
    format: Format
    section: str
    form: Form
    program: str = ""
    project: str = ""
    afterwards: str = ""

    def file(self, machine: Machine) -> Path:
        """Its file for all of the user's projects; it need not exist."""
        return _PLACES[self.name](machine)

    def is_here(self, machine: Machine) -> bool:
        """Whether it is installed, or was: its program, its file, or the folder of its own that its file is in."""
        file = self.file(machine)
        own = file.parent if file.parent not in (machine.home, machine.settings) else file
        return machine.has(self.program) or file.exists() or own.is_dir()


def _claude_code(machine: Machine) -> Path:
    return (machine.named("CLAUDE_CONFIG_DIR") or machine.home) / ".claude.json"


def _codex(machine: Machine) -> Path:
    return (machine.named("CODEX_HOME") or machine.home / ".codex") / "config.toml"


def _zed(machine: Machine) -> Path:
    if machine.platform == "darwin":
        return machine.home / ".config" / "zed" / "settings.json"
    return machine.settings / ("Zed" if machine.platform == "win32" else "zed") / "settings.json"


_PLACES: dict[str, Callable[[Machine], Path]] = {
    "claude-desktop": lambda machine: machine.settings / "Claude" / "claude_desktop_config.json",
    "claude-code": _claude_code,
    "cursor": lambda machine: machine.home / ".cursor" / "mcp.json",
    "vscode": lambda machine: machine.settings / "Code" / "User" / "mcp.json",
    "codex": _codex,
    "gemini": lambda machine: machine.home / ".gemini" / "settings.json",
    "zed": _zed,
    "inspector": lambda machine: machine.named("MCP_CATALOG_PATH") or machine.home / ".mcp-inspector" / "mcp.json",
}

_AGAIN = "Start {} again."

KNOWN: dict[str, Client] = {
    client.name: client
    for client in (
        Client(
            "claude-desktop",
            "Claude Desktop",
            JSON,
            "mcpServers",
            Form(url=""),
            afterwards="Quit Claude Desktop (closing its window is not enough) and start it again.",
        ),
        Client(
            "claude-code",
            "Claude Code",
            JSON,
            "mcpServers",
            Form(http_type="http", stdio_type="stdio"),
            program="claude",
            project=".mcp.json",
            afterwards=_AGAIN.format("Claude Code"),
        ),
        Client(
            "cursor",
            "Cursor",
            JSON_WITH_COMMENTS,
            "mcpServers",
            Form(),
            program="cursor",
            project=".cursor/mcp.json",
            afterwards=_AGAIN.format("Cursor"),
        ),
        Client(
            "vscode",
            "VS Code",
            JSON_WITH_COMMENTS,
            "servers",
            Form(http_type="http", stdio_type="stdio"),
            program="code",
            project=".vscode/mcp.json",
            afterwards="In VS Code, run `MCP: List Servers` and start it.",
        ),
        Client(
            "codex",
            "Codex",
            TOML,
            "mcp_servers",
            Form(headers="http_headers"),
            program="codex",
            project=".codex/config.toml",
            afterwards=_AGAIN.format("Codex"),
        ),
        Client(
            "gemini",
            "Gemini CLI",
            JSON_WITH_COMMENTS,
            "mcpServers",
            Form(url="httpUrl"),
            program="gemini",
            project=".gemini/settings.json",
            afterwards=_AGAIN.format("Gemini CLI"),
        ),
        Client(
            "zed",
            "Zed",
            JSON_WITH_COMMENTS,
            "context_servers",
            Form(),
            program="zed",
            project=".zed/settings.json",
        ),
        Client(
            "inspector",
            "MCP Inspector",
            JSON,
            "mcpServers",
            Form(http_type="http", stdio_type="stdio"),
            program="mcp-inspector",
            afterwards="Reload the Inspector's page.",
        ),
    )
}
"""By the name that the command takes."""
