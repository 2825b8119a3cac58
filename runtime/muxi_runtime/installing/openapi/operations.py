"""One operation of a document, as one tool: what it takes, what it answers, and the request that is made of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from operator import itemgetter
from typing import Any

from muxi_runtime.errors import ConfigError
from muxi_runtime.installing.openapi.addresses import Address, first_address
from muxi_runtime.installing.openapi.credentials import Credential, Credentials, UnknownSchemeError
from muxi_runtime.installing.openapi.names import Names, shown, tool_name
from muxi_runtime.installing.openapi.paging import paging_of
from muxi_runtime.installing.openapi.parameters import (
    Body,
    LeftOutError,
    Parameter,
    path_parts,
    read_body,
    read_parameters,
)
from muxi_runtime.installing.openapi.references import References
from muxi_runtime.installing.openapi.schemas import Schema, Simplifier, with_null

__all__ = ["METHODS", "Found", "Operation", "Reader"]

METHODS = ("get", "head", "options", "put", "delete", "post", "patch")
"""Those of the specification but TRACE, which sends credentials back."""
READ_ONLY = frozenset({"get", "head", "options"})
IDEMPOTENT = frozenset({"get", "head", "options", "put", "delete"})
RESERVED_ARGUMENTS = ("body", "pages")
MAX_TITLE = 120
MAX_DESCRIPTION = 1000
MAX_PAGES = 20
MAX_ITEMS = 60
"""Responses of an operation, media types and headers of a response, that are looked at."""


@dataclass(frozen=True, slots=True)
class Found:
    """An operation in its place."""

    path: str
    method: str
    item: Mapping[str, Any]
    operation: Mapping[str, Any]

    @property
    def line(self) -> str:
        """`GET /pets`, for people."""
        return f"{self.method.upper()} {shown(self.path, 200)}"


@dataclass(frozen=True, slots=True)
class Operation:
    """One tool. `document`: as the server reads it."""

    name: str
    address: Address
    credentials: tuple[Credential, ...]
    document: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads the operations of one document.

    Attributes:
        base: URL of the document; empty for a file.
        server: where every request goes, whatever the document says; `None`: where it says.
    """

    document: Mapping[str, Any]
    references: References
    simplifier: Simplifier
    credentials: Credentials
    names: Names
    base: str
    server: Address | None

    def read(self, found: Found) -> Operation:
        """Make a tool of it.

        Raises:
            LeftOutError: none can be made.
            ConfigError: the document names no server at all.
        """
        address = self._address(found)
        try:
            return self._made(found, address)
        except (ConfigError, UnknownSchemeError) as error:
            reason = error if isinstance(error, ConfigError) else f"it wants credentials of an unknown kind: {error}"
            raise LeftOutError(str(reason)) from error

    def _address(self, found: Found) -> Address:
        if self.server is not None:
            return self.server
        try:
            own = first_address([found.operation.get("servers"), found.item.get("servers")], self.base)
        except ConfigError as error:
            raise LeftOutError(str(error)) from error
        address = own or first_address([self.document.get("servers")], self.base)
        if address is None and self.base:
            address = first_address([[{"url": "/"}]], self.base)
        if address is None:
            raise ConfigError(
                "The document names no server to send requests to.", remedy="Give one with --server https://host/path."
            )
        return address

    def _made(self, found: Found, address: Address) -> Operation:
        given = [*_list(found.item.get("parameters")), *_list(found.operation.get("parameters"))]
        parameters = read_parameters(given, self.references, self.simplifier, Names(64, RESERVED_ARGUMENTS))
        path = path_parts(found.path, parameters)
        body = read_body(found.operation.get("requestBody"), self.references, self.simplifier)
        security = found.operation.get("security", self.document.get("security"))
        credentials, optional = self.credentials.wanted(security)
        own = {credential.name.lower() for credential in credentials if credential.place != "cookie"}
        parameters = [p for p in parameters if not (p.place != "path" and p.name.lower() in own)]
        answer, headers = self._answer(found.operation)
        pages = paging_of(found.method, parameters, answer, headers)
        name = self.names.unique(tool_name(found.operation.get("operationId"), found.method, found.path))
        document = {
            "name": name,
            "title": shown(found.operation.get("summary"), MAX_TITLE) or name,
            "description": _description(found, address, path),
            "method": found.method.upper(),
            "base": address.url,
            "path": path,
            "parameters": [parameter.document() for parameter in parameters],
            "body": {"type": body.media_type, "form": body.form} if body else None,
            "credentials": [credential.document() for credential in credentials],
            "optional": optional,
            "pages": pages,
            "input": _input(parameters, body, pages),
            "answer": with_null(answer),
            "read_only": found.method in READ_ONLY,
            "destructive": found.method == "delete",
            "idempotent": found.method in IDEMPOTENT,
        }
        return Operation(name, address, tuple(credentials), document)

    def _answer(self, operation: Mapping[str, Any]) -> tuple[Schema, Mapping[str, Any]]:
        """The schema of the first success that has one in JSON, and the headers that this declares."""
        for code, given in sorted(_items(operation.get("responses")), key=itemgetter(0)):
            if not code.startswith("2"):
                continue
            response = self.references.resolve(given)
            headers = dict(_items(response.get("headers")))
            for kind, media in _items(response.get("content")):
                if "json" in kind.lower():
                    schema = self.simplifier.simplify(self.references.resolve(media).get("schema"), "response")
                    return schema, headers
        return {}, {}


def _description(found: Found, address: Address, path: list[str | dict[str, str]]) -> str:
    """What the document says, and the request itself: another request is another tool, that waits for a person.

    The method comes last: `POST https://...` in a description is what the review of new servers looks for.
    """
    words = found.operation.get("description") or found.operation.get("summary") or found.item.get("description")
    told = [shown(words, MAX_DESCRIPTION), "Deprecated." if found.operation.get("deprecated") is True else ""]
    sent = "".join(part if isinstance(part, str) else f"{{{part['argument']}}}" for part in path)
    return "\n".join([*filter(None, told), f"{address.url}{sent} ({found.method.upper()})"])


def _input(parameters: list[Parameter], body: Body | None, pages: object) -> Schema:
    properties = {parameter.argument: parameter.schema for parameter in parameters}
    required = [parameter.argument for parameter in parameters if parameter.required]
    if body is not None:
        told = f"[{body.media_type}] {body.schema.get('description', '')}".rstrip()
        properties["body"] = {**body.schema, "description": told}
        required += ["body"] if body.required else []
    if pages:
        properties["pages"] = {
            "type": "integer",
            "minimum": 1,
            "maximum": MAX_PAGES,
            "default": 1,
            "description": "how many pages of the list to fetch and put together",
        }
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _items(value: object) -> list[tuple[str, Any]]:
    first = islice(value.items(), MAX_ITEMS) if isinstance(value, Mapping) else ()
    return [(str(key), item) for key, item in first]
