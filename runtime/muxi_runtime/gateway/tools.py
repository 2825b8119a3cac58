"""The tools that this runtime offers now, by server: definitions as the servers listed them, ready to check against.

Above: the front lists from here, the door looks up here. Below: nothing; `listing` fills it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jsonschema_rs
from mcp.shared.inbound import X_MCP_HEADER_KEY, find_invalid_x_mcp_header

from muxi_runtime.catalog.pins import pin_of
from muxi_runtime.errors import InvalidArgumentsError, ToolBlockedError, UnknownToolError
from muxi_runtime.gateway.guard import cleaned_words

__all__ = ["SEPARATOR", "ServerTools", "Tool", "ToolBook", "split_name"]

SEPARATOR = "__"
"""Between a server's name and a tool's. Server names hold no underscore, so the first one decides."""

MAX_SCHEMA_ERRORS = 5


@dataclass(frozen=True, slots=True)
class Tool:
    """One tool of one server.

    Attributes:
        server: whose it is; empty for one of the gateway itself.
        definition: as listed by the server (`name`, `inputSchema`, ...), JSON values.
        pin: a hash over the whole definition.
        shown: the definition as clients get it: its words hold nothing hidden.
        mirrors_arguments: whether clients repeat arguments in headers, as the input schema asks of them.
    """

    server: str
    name: str
    definition: Mapping[str, Any]
    pin: str
    shown: Mapping[str, Any]
    mirrors_arguments: bool
    _validator: jsonschema_rs.Validator = field(repr=False, compare=False)

    @classmethod
    def of(cls, server: str, definition: Mapping[str, Any]) -> Tool:
        """Read a definition.

        Raises:
            ValueError: no name, an input schema that is none, or arguments in headers that HTTP has no room for.
        """
        name = definition.get("name")
        if not isinstance(name, str) or not name:
            raise ValueError("a tool without a name")
        try:
            validator = jsonschema_rs.validator_for(
                dict(definition.get("inputSchema") or {"type": "object"}),
                retriever=_refuse_reference,
                # Linear-time matching: a schema comes from an untrusted server, its arguments from a client.
                pattern_options=jsonschema_rs.RegexOptions(),
            )
        except (ValueError, jsonschema_rs.ReferencingError) as error:
            raise ValueError(f"tool {name!r} has an unusable input schema: {error}") from error
        mirrors = X_MCP_HEADER_KEY in json.dumps(definition.get("inputSchema"))
        # Clients have to drop such a tool: proxies on the way go by headers, which must say what the body does.
        if mirrors and (wrong := find_invalid_x_mcp_header(definition.get("inputSchema"))) is not None:
            raise ValueError(f"tool {name!r} wants headers that cannot be: {wrong[:300]}")
        return cls(server, name, definition, pin_of(definition), cleaned_words(definition), mirrors, validator)

    @property
    def full_name(self) -> str:
        """As a client sees it at `/mcp`."""
        return f"{self.server}{SEPARATOR}{self.name}" if self.server else self.name

    @property
    def annotations(self) -> Mapping[str, Any]:
        """The server's hints about the tool."""
        value = self.definition.get("annotations")
        return value if isinstance(value, Mapping) else {}

    def check(self, arguments: Mapping[str, Any]) -> None:
        """Refuse arguments that the input schema does not take.

        Raises:
            InvalidArgumentsError: naming each argument that is wrong.
        """
        if self._validator.is_valid(arguments if type(arguments) is dict else dict(arguments)):
            return
        problems: list[str] = []
        for error in self._validator.iter_errors(dict(arguments)):
            if len(problems) == MAX_SCHEMA_ERRORS:
                problems.append("...")
                break
            where = "/".join(str(part) for part in error.instance_path)
            problems.append(f"{where}: {error.message}"[:300] if where else error.message[:300])
        if problems:
            raise InvalidArgumentsError(
                f"The arguments of {self.full_name} are not valid: {'; '.join(problems)}.",
                remedy="The tool's inputSchema says what it takes.",
            )


def _refuse_reference(uri: str) -> Any:  # noqa: ANN401  # the library's signature
    raise ValueError(f"the schema refers to {uri}, and no schema is fetched")


@dataclass(frozen=True, slots=True)
class ServerTools:
    """What is known of one server.

    Attributes:
        error: why its tools are not offered; empty when they are.
        blocked: tools that are not offered, by name, and why: their definition is not the one that was accepted.
        listed: all definitions as the server listed them.
    """

    tools: Mapping[str, Tool] = field(default_factory=dict)
    error: str = ""
    blocked: Mapping[str, str] = field(default_factory=dict)
    listed: Sequence[Mapping[str, Any]] = ()


Judge = Callable[[str, Sequence[Mapping[str, Any]]], Mapping[str, str]]
"""Takes a server and its usable definitions; which of them may not be offered, by name, and why."""


def _all_are_welcome(_server: str, _definitions: Sequence[Mapping[str, Any]]) -> Mapping[str, str]:
    return {}


class ToolBook:
    """All servers' tools. Changing it tells the listeners."""

    def __init__(self, judge: Judge = _all_are_welcome) -> None:
        self._judge = judge
        self._servers: dict[str, ServerTools] = {}
        self._listeners: list[Callable[[], None]] = []

    @property
    def servers(self) -> Mapping[str, ServerTools]:
        """By server name, in the catalog's order."""
        return self._servers

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call `listener` after each change of what is offered."""
        self._listeners.append(listener)

    def set_tools(self, server: str, definitions: Iterable[Mapping[str, Any]]) -> None:
        """Offer these tools of a server, instead of what it had.

        A definition that cannot be used hides that tool alone, and is named in the server's `error`.
        """
        tools, problems = {}, []
        listed = list(definitions)
        for definition in listed:
            try:
                tool = Tool.of(server, definition)
            except ValueError as error:
                problems.append(str(error))
                continue
            tools[tool.name] = tool
        blocked = self._judge(server, [tool.definition for tool in tools.values()])
        offered = {name: tool for name, tool in tools.items() if name not in blocked}
        self._replace(server, ServerTools(offered, "; ".join(problems), blocked, listed))

    def judge_again(self) -> None:
        """What may be offered was decided anew."""
        for server, known in list(self._servers.items()):
            if known.listed:
                self.set_tools(server, known.listed)

    def remove(self, server: str) -> None:
        """It is not there any more; no error if it was not."""
        if self._servers.pop(server, None) is not None:
            self._tell()

    def set_error(self, server: str, error: str) -> None:
        """Say why a server offers nothing."""
        self._replace(server, ServerTools({}, error))

    def _replace(self, server: str, now: ServerTools) -> None:
        before = self._servers.get(server)
        self._servers[server] = now
        if before is not None and {t.pin for t in before.tools.values()} == {t.pin for t in now.tools.values()}:
            return
        self._tell()

    def _tell(self) -> None:
        for listener in self._listeners:
            listener()

    def input_schema(self, server: str, name: str) -> Mapping[str, Any] | None:
        """A tool's input schema, `None` where there is no such tool."""
        known = self._servers.get(server)
        tool = known.tools.get(name) if known else None
        return tool.definition.get("inputSchema") if tool else None

    def find(self, server: str, name: str) -> Tool:
        """The tool.

        Raises:
            UnknownToolError: saying what there is instead.
        """
        known = self._servers.get(server)
        if known is None:
            names = ", ".join(sorted(self._servers)) or "none"
            raise UnknownToolError(f"There is no server {server!r}.", remedy=f"Servers: {names}.")
        if name in known.tools:
            return known.tools[name]
        if name in known.blocked:
            raise ToolBlockedError(
                f"Tool {name!r} of server {server!r} is blocked: {known.blocked[name]}.",
                remedy=f"A person who runs this runtime can look with `muxi-runtime pins diff {server}.{name}`.",
            )
        if known.error:
            raise UnknownToolError(
                f"Server {server!r} offers no tool {name!r} now: {known.error}",
                remedy=f"`muxi-runtime servers inspect {server}` says more.",
            )
        names = ", ".join(sorted(known.tools))
        raise UnknownToolError(f"Server {server!r} has no tool {name!r}.", remedy=f"Its tools: {names}.")


def split_name(full_name: str) -> tuple[str, str]:
    """Server and tool of a name as seen at `/mcp`.

    Raises:
        UnknownToolError: the name has no server in front.
    """
    server, separator, tool = full_name.partition(SEPARATOR)
    if not separator or not tool:
        raise UnknownToolError(
            f"There is no tool {full_name!r}.",
            remedy=f"Tools are called SERVER{SEPARATOR}TOOL; tools/list shows them.",
        )
    return server, tool
