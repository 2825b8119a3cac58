"""Documents of OpenAPI as APIs of the world have them, and small ones of a few lines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from muxi_runtime.installing.openapi.describe import Choice, Description, describe

__all__ = ["described", "document", "operation_of", "operations_of", "small", "text_of"]

FOLDER = Path(__file__).with_name("api_documents")
SERVER = "https://api.example.com/v1"


def text_of(name: str, **places: str) -> bytes:
    """One of the folder's, with `{{NAME}}` replaced."""
    text = (FOLDER / name).read_text()
    for place, value in places.items():
        text = text.replace("{{" + place + "}}", value)
    return text.encode()


def small(paths: Any, **more: Any) -> dict[str, Any]:
    """A document with these paths."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "T", "version": "1"},
        "servers": [{"url": SERVER}],
        "paths": paths,
        **more,
    }


def document(operation: dict[str, Any] | None = None, path: str = "/things", method: str = "get", **more: Any) -> bytes:
    """A document with one operation."""
    return json.dumps(small({path: {method: {"operationId": "thing", **(operation or {})}}}, **more)).encode()


def described(data: bytes, name: str = "api", **choice: Any) -> Description:
    return describe(data, Choice(name, **choice))


def operations_of(found: Description) -> dict[str, dict[str, Any]]:
    """As the server reads them, by name."""
    return {operation["name"]: operation for operation in json.loads(found.content)["operations"]}


def operation_of(data: bytes, **choice: Any) -> dict[str, Any]:
    """The only one."""
    (operation,) = operations_of(described(data, **choice)).values()
    return operation
