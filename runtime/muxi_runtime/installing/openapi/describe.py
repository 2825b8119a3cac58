"""A document of OpenAPI, described: the requests that tools are made of, the hosts they go to, the secrets they need.

Above: `installing.openapi_source`, which fetched the document. Below: the parts of this package. What comes out is
data: a JSON file for the server in its sandbox, and what a person is shown before anything is added.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from muxi_runtime.errors import ConfigError
from muxi_runtime.gateway.hidden import clean
from muxi_runtime.installing.openapi.addresses import is_private, parse_address
from muxi_runtime.installing.openapi.credentials import Credentials
from muxi_runtime.installing.openapi.names import Names, shown
from muxi_runtime.installing.openapi.operations import METHODS, Found, Operation, Reader
from muxi_runtime.installing.openapi.parameters import LeftOutError
from muxi_runtime.installing.openapi.references import References
from muxi_runtime.installing.openapi.schemas import CHOOSE, Simplifier
from muxi_runtime.installing.openapi.text import read_text

__all__ = ["Choice", "Description", "describe"]

FORMAT = 2
MAX_OPERATIONS = 1000
MAX_HOSTS = 32
MAX_DESCRIBED_BYTES = 4 * 2**20
MAX_NAME = 64
"""Of a tool with its server's name before it: what clients and models take."""
DRY_RUN = "dry_run_"
"""Before the server's name, for the tool that shows a request: no two servers have tools that look the same by it."""
SHOWN_NOTES = 20
SHOWN_HIDDEN = 20


@dataclass(frozen=True, slots=True)
class Choice:
    """What a person asked for.

    Attributes:
        name: the server's.
        base: URL of the document; empty for a file.
        server: URL that all requests go to, in place of the document's; empty: the document's.
        operations: patterns; none: all.
    """

    name: str
    base: str = ""
    server: str = ""
    operations: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Description:
    """What was made of a document.

    Attributes:
        content: the file that the server reads.
        hosts: `host:port`, of all requests.
        secrets: by name, as a profile has them.
        notes: what a person should know.
        hidden: places and texts with characters that are not seen.
    """

    title: str
    description: str
    version: str
    content: bytes
    hosts: tuple[str, ...]
    secrets: Mapping[str, Mapping[str, Any]]
    notes: tuple[str, ...]
    hidden: tuple[tuple[str, str], ...]


def describe(data: bytes, choice: Choice) -> Description:
    """Read a document. Blocks, for seconds where it is large; touches no file and no network.

    Raises:
        ConfigError: no server can be made of it.
    """
    document = read_text(data)
    _check_version(document)
    references = References(document)
    components = references.resolve(document.get("components"))
    longest = MAX_NAME - len(choice.name) - 2
    dry_run = f"{DRY_RUN}{choice.name}"[:longest]
    reader = Reader(
        document,
        references,
        Simplifier(references),
        Credentials(choice.name, _mapping(components.get("securitySchemes")), references),
        Names(longest, (dry_run,)),
        choice.base,
        parse_address(choice.server) if choice.server else None,
    )
    chosen = _chosen(list(_operations(document, references)), choice.operations)
    operations, left_out = _read(reader, chosen)
    if not operations:
        raise ConfigError(f"No tool can be made of the document. {'; '.join(left_out[:3])}".rstrip())
    return _described(document, choice.name, dry_run, operations, left_out)


def _check_version(document: Mapping[str, Any]) -> None:
    version = str(document.get("openapi", ""))
    if version.startswith(("3.0", "3.1")):
        return
    if "swagger" in document:
        raise ConfigError(
            f"The document is of OpenAPI {str(document['swagger'])[:10]!a} (Swagger), and 3.0 and 3.1 are read.",
            remedy="Convert it to 3.0 or 3.1.",
        )
    said = f"of version {version[:20]!a}" if version else "no document of OpenAPI"
    raise ConfigError(f"It is {said}; OpenAPI 3.0 and 3.1 are read.")


def _operations(document: Mapping[str, Any], references: References) -> Iterator[Found]:
    """In an order that does not hang on the document's."""
    for path, item in sorted(_mapping(document.get("paths")).items()):
        held = references.resolve(item)
        for method in METHODS:
            operation = held.get(method)
            if isinstance(operation, Mapping):
                yield Found(path, method, held, operation)


def _chosen(found: Sequence[Found], patterns: Sequence[str]) -> list[Found]:
    chosen = [one for one in found if not patterns or any(_fits(one, pattern) for pattern in patterns)]
    if not chosen:
        what = "that fits --operation" if patterns else "at all"
        raise ConfigError(f"The document has no operation {what}.", remedy=CHOOSE if patterns else "")
    if len(chosen) > MAX_OPERATIONS:
        raise ConfigError(
            f"The document has {len(chosen)} operations, and a server at most {MAX_OPERATIONS} tools.", remedy=CHOOSE
        )
    return chosen


def _fits(found: Found, pattern: str) -> bool:
    tags = found.operation.get("tags")
    names = [
        found.operation.get("operationId"),
        f"{found.method.upper()} {found.path}",
        *(tags if isinstance(tags, list) else ()),
    ]
    return any(isinstance(name, str) and fnmatchcase(name, pattern) for name in names)


def _read(reader: Reader, chosen: Sequence[Found]) -> tuple[list[Operation], list[str]]:
    operations: list[Operation] = []
    left_out: list[str] = []
    for found in chosen:
        try:
            operations.append(reader.read(found))
        except LeftOutError as error:
            left_out.append(f"{found.line}: {shown(str(error), 300)}")
    return operations, left_out


def _described(
    document: Mapping[str, Any], server: str, dry_run: str, operations: Sequence[Operation], left_out: Sequence[str]
) -> Description:
    info = _mapping(document.get("info"))
    title, version = shown(info.get("title"), 100), shown(info.get("version"), 40)
    content = json.dumps(
        {
            "format": FORMAT,
            "server": server,
            "title": title,
            "version": version,
            "dry_run": dry_run,
            "operations": [o.document for o in operations],
        },
        ensure_ascii=False,
    ).encode()
    if len(content) > MAX_DESCRIBED_BYTES:
        raise ConfigError(
            f"The tools of the document would take {len(content) // 2**20} MiB, more than a server may list.",
            remedy=CHOOSE,
        )
    hosts = tuple(dict.fromkeys(operation.address.authority for operation in operations))
    if len(hosts) > MAX_HOSTS:
        raise ConfigError(
            f"The document has requests to {len(hosts)} hosts; at most {MAX_HOSTS} are taken.", remedy=CHOOSE
        )
    notes = (*_notes(operations, hosts), *_left_out_notes(left_out))
    about = shown(info.get("summary") or info.get("description"), 300)
    return Description(title, about, version, content, hosts, _secrets(operations), notes, _hidden(document))


def _secrets(operations: Sequence[Operation]) -> dict[str, dict[str, Any]]:
    """Each secret for the hosts that it is shown to, and no others."""
    found: dict[str, dict[str, Any]] = {}
    for operation in operations:
        for credential in operation.credentials:
            use = found.setdefault(credential.secret, {"hosts": [], "places": []})
            use["hosts"] = list(dict.fromkeys([*use["hosts"], operation.address.authority]))
            use["places"] = list(dict.fromkeys([*use["places"], credential.profile_place]))
    return found


def _notes(operations: Sequence[Operation], hosts: Sequence[str]) -> Iterator[str]:
    if len(hosts) > 1:
        yield f"Its requests go to {len(hosts)} hosts: {', '.join(hosts)}."
    plain = sorted({o.address.authority for o in operations if o.address.scheme == "http"})
    if plain:
        yield f"Requests to {', '.join(plain)} are not encrypted, the credentials in them neither."
    private = sorted({o.address.authority for o in operations if is_private(o.address.host)})
    if private:
        yield f"{', '.join(private)} is not public: it is reached only if `egress.private` in muxi.yaml names it."
    told = {c.secret: c for o in operations for c in o.credentials}
    for name, credential in told.items():
        form = {"basic": "user:password", "bearer": "an access token"}.get(credential.form, "a key")
        about = f" ({credential.told})" if credential.told else ""
        yield f"It needs {form}{about}: `muxi-runtime secrets set {name}`."


def _left_out_notes(left_out: Sequence[str]) -> Iterator[str]:
    yield from (f"Left out: {line}" for line in left_out[:SHOWN_NOTES])
    if len(left_out) > SHOWN_NOTES:
        yield f"Left out: {len(left_out) - SHOWN_NOTES} more."


def _hidden(document: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """The first texts in it, names of fields among them, that have characters which nobody sees; used or not."""
    found: list[tuple[str, str]] = []
    left: list[tuple[str, object]] = [("document", document)]
    while left and len(found) < SHOWN_HIDDEN:
        place, value = left.pop()
        if isinstance(value, str) and clean(value)[1]:
            found.append((place, value))
        elif isinstance(value, Mapping):
            found += [(f"{place}/(a name)", key) for key in value if clean(key)[1]]
            left += [(f"{place}/{shown(key, 60)}", item) for key, item in value.items()]
        elif isinstance(value, list):
            left += [(f"{place}/{number}", item) for number, item in enumerate(value)]
    return tuple(found[:SHOWN_HIDDEN])


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
