"""The file that the runtime made of an OpenAPI document (`muxi_runtime.installing.openapi`): requests, as data."""

from __future__ import annotations

from muxi_servers.kit.codec import decode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["FORMAT", "Document", "Operation", "load", "read"]

FORMAT = 2


class Operation:
    """One request that can be made.

    Attributes:
        server: the name of the server whose tool it is.
        base: scheme, host, port and the path that all paths stand below, as a URL without a slash at its end.
        path: text to send as it is, and between it `{"argument": NAME}`.
        parameters: where the other arguments go: argument, name, in, style, explode, json.
        body: `{"type": media type, "form": json, form, multipart or text}`, or `None`.
        credentials: secret (the variable that holds its placeholder), in, name, form.
        optional: whether the API answers without credentials, too.
        pages: where the list is and what leads to the next page, or `None`.
        arguments: the input schema.
        answer: the schema of what comes back; empty for anything.
    """

    def __init__(self, fields: dict[str, Any], server: str = "NAME") -> None:
        self.server = server
        self.name: str = fields["name"]
        self.title: str = fields["title"]
        self.description: str = fields["description"]
        self.method: str = fields["method"]
        self.base: str = fields["base"]
        self.path: list[str | dict[str, str]] = fields["path"]
        self.parameters: list[dict[str, Any]] = fields["parameters"]
        self.body: dict[str, str] | None = fields["body"]
        self.credentials: list[dict[str, str]] = fields["credentials"]
        self.optional: bool = fields["optional"]
        self.pages: dict[str, Any] | None = fields["pages"]
        self.arguments: dict[str, Any] = fields["input"]
        self.answer: dict[str, Any] = fields["answer"]
        self.read_only: bool = fields["read_only"]
        self.destructive: bool = fields["destructive"]
        self.idempotent: bool = fields["idempotent"]


class Document:
    """One API.

    Attributes:
        dry_run: what the tool that shows a request is called.
    """

    def __init__(self, title: str, dry_run: str, operations: list[Operation]) -> None:
        self.title = title
        self.dry_run = dry_run
        self.operations = operations


def load(path: str) -> Document:
    """Read the file.

    Raises:
        SystemExit: it is none of this version.
    """
    with open(path, "rb") as file:
        return read(file.read())


def read(data: bytes) -> Document:
    """As `load`, from its bytes."""
    value = decode(data)
    if value.get("format") != FORMAT:
        raise SystemExit(
            f"the document is of format {value.get('format')}, not {FORMAT}: run `muxi-runtime servers update`"
        )
    operations = [Operation(fields, value["server"]) for fields in value["operations"]]
    return Document(value["title"], value["dry_run"], operations)
