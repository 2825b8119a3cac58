"""The tools of the `files` server."""

from __future__ import annotations

from muxi_servers.files.listing import LISTING_OUTPUT, Listing
from muxi_servers.files.moving import COPY_OUTPUT, DELETE_OUTPUT, MAKE_OUTPUT, MOVE_OUTPUT, Moving
from muxi_servers.files.reading import READ_OUTPUT, STAT_OUTPUT, Reading
from muxi_servers.files.searching import GREP_OUTPUT, Searching
from muxi_servers.files.writing import EDIT_OUTPUT, WRITE_OUTPUT, Writing
from muxi_servers.kit.server import Server
from muxi_servers.kit.tools import Tool, arguments_schema

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from muxi_servers.kit.launch import Launcher
    from muxi_servers.kit.tools import Function
    from muxi_servers.kit.workspace import Workspace

__all__ = ["build"]

_INFO = {"name": "muxi-files", "title": "Files", "version": "0.1.0"}
_INSTRUCTIONS = (
    "Files of this task's workspace. Paths are relative to it (`/workspace/x` is the same as `x`). Nothing outside of "
    "it can be reached. Symbolic links are followed where they point inside."
)
_ROOT: dict[str, Any] = {"type": "string", "default": ".", "description": "folder, relative to the workspace"}
_PATH: dict[str, Any] = {"type": "string", "minLength": 1, "description": "path relative to the workspace"}
_FLAG: dict[str, Any] = {"type": "boolean", "default": False}


def _limit(default: int, highest: int) -> dict[str, Any]:
    return {"type": "integer", "minimum": 1, "maximum": highest, "default": default}


def build(launcher: Launcher, workspace: Workspace) -> Server:
    """The server, ready to serve."""
    reading, listing = Reading(workspace), Listing(workspace)
    return Server(
        _INFO,
        _INSTRUCTIONS,
        [
            *_single_file_tools(reading),
            *_folder_tools(listing),
            _grep_tool(Searching(launcher, workspace)),
            *_writing_tools(Writing(workspace)),
            *_moving_tools(Moving(workspace)),
        ],
    )


def _look(
    name: str, function: Function, title: str, description: str, arguments: dict[str, Any], output: dict[str, Any]
) -> Tool:
    return Tool(
        name,
        function,
        title=title,
        description=description,
        arguments=arguments,
        output=output,
        read_only=True,
        idempotent=True,
    )


def _single_file_tools(reading: Reading) -> list[Tool]:
    return [
        _look(
            "read",
            reading.read,
            "Read a file",
            "Read a file: text by lines, an image to look at, another binary file (up to 4 MiB) as a resource.",
            arguments_schema(
                path=_PATH,
                start_line={**_limit(1, 2**31), "description": "first line to return, counted from 1"},
                max_lines=_limit(2_000, 100_000),
                max_bytes=_limit(200_000, 2_000_000),
            ),
            READ_OUTPUT,
        ),
        _look(
            "stat",
            reading.stat,
            "Look at a file",
            "Kind, size, time of change and permissions of a file, folder or link (of the link itself).",
            arguments_schema(path=_PATH),
            STAT_OUTPUT,
        ),
    ]


def _folder_tools(listing: Listing) -> list[Tool]:
    return [
        _look(
            "list",
            listing.list,
            "List a folder",
            "What is directly in a folder, sorted by name.",
            arguments_schema(path=_ROOT, max_entries=_limit(500, 5_000)),
            LISTING_OUTPUT,
        ),
        _look(
            "tree",
            listing.tree,
            "Show a tree",
            "What is in a folder and the folders below it.",
            arguments_schema(path=_ROOT, depth=_limit(3, 32), max_entries=_limit(500, 5_000)),
            LISTING_OUTPUT,
        ),
        _look(
            "find",
            listing.find,
            "Find files",
            "Find files by name or path below a folder.",
            arguments_schema(
                path=_ROOT,
                pattern={
                    "type": "string",
                    "default": "**",
                    "description": "glob: `*.py` for a name anywhere, `src/**/*.py` for a path (`**`: any folders)",
                },
                kind={"type": "string", "enum": ["any", "file", "folder", "link"], "default": "any"},
                min_bytes={"type": "integer", "minimum": 0, "default": 0},
                max_bytes={"type": "integer", "minimum": -1, "default": -1, "description": "-1: any size"},
                max_entries=_limit(500, 5_000),
            ),
            LISTING_OUTPUT,
        ),
    ]


def _grep_tool(searching: Searching) -> Tool:
    return _look(
        "grep",
        searching.grep,
        "Search in files",
        "Find lines that a regular expression (Python's syntax) matches, in a file or in all below a folder.",
        arguments_schema(
            pattern={"type": "string", "minLength": 1, "maxLength": 1_000},
            path={**_ROOT, "description": "file or folder, relative to the workspace"},
            glob={"type": "string", "default": "**", "description": "only in files whose path fits, such as `*.py`"},
            literal={**_FLAG, "description": "search for the pattern as it is"},
            ignore_case=_FLAG,
            context={"type": "integer", "minimum": 0, "maximum": 10, "default": 0, "description": "lines around"},
            max_matches=_limit(100, 1_000),
        ),
        GREP_OUTPUT,
    )


def _writing_tools(writing: Writing) -> list[Tool]:
    return [
        Tool(
            "write",
            writing.write,
            title="Write a file",
            description="Write a file, making the folders that it needs. To change a part of one, use edit.",
            arguments=arguments_schema(
                path=_PATH,
                content={"type": "string"},
                encoding={"type": "string", "enum": ["text", "base64"], "default": "text"},
                mode={
                    "type": "string",
                    "enum": ["overwrite", "create", "append"],
                    "default": "overwrite",
                    "description": "create: only if there is none; append: to the end",
                },
            ),
            output=WRITE_OUTPUT,
            destructive=True,
        ),
        Tool(
            "edit",
            writing.edit,
            title="Edit a file",
            description=(
                "Replace an exact piece of text in a file. It has to be there once, or replace_all set. Returns a diff."
            ),
            arguments=arguments_schema(
                path=_PATH,
                old_text={"type": "string", "minLength": 1, "description": "exactly as in the file"},
                new_text={"type": "string"},
                replace_all=_FLAG,
            ),
            output=EDIT_OUTPUT,
            destructive=True,
        ),
    ]


def _moving_tools(moving: Moving) -> list[Tool]:
    both = {"source": _PATH, "destination": {**_PATH, "description": "the full new path"}, "overwrite": _FLAG}
    recursive = {**_FLAG, "description": "needed for a folder that is not empty"}
    return [
        Tool(
            "move",
            moving.move,
            title="Move or rename",
            description="Move or rename a file, folder or link.",
            arguments=arguments_schema(**both),
            output=MOVE_OUTPUT,
            destructive=True,
        ),
        Tool(
            "copy",
            moving.copy,
            title="Copy",
            description="Copy a file, or a folder with all that is in it.",
            arguments=arguments_schema(**both),
            output=COPY_OUTPUT,
            destructive=True,
        ),
        Tool(
            "delete",
            moving.delete,
            title="Delete",
            description="Delete a file, folder or link.",
            arguments=arguments_schema(path=_PATH, recursive=recursive),
            output=DELETE_OUTPUT,
            destructive=True,
        ),
        Tool(
            "make_directory",
            moving.make_directory,
            title="Make a folder",
            description="Make a folder, and those above it that are missing.",
            arguments=arguments_schema(path=_PATH),
            output=MAKE_OUTPUT,
            idempotent=True,
        ),
    ]
