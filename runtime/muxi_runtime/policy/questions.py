"""From a request to what Cedar is asked: principal, action, resource, context, and the entities that rules look at.

Who and what are parsed once per pair and kept; a request adds only its own facts.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

import cedarpy

from muxi_runtime.identity.principal import Principal
from muxi_runtime.policy.contract import Access, Connection, Request, SecretUse, ToolCall
from muxi_runtime.policy.projection import UnreadableError, argument_tags, tool_annotations
from muxi_runtime.policy.rules import schema

__all__ = ["Question", "Questions", "place"]

_PAIRS = 4096
"""Pairs of user and resource whose entities are kept parsed, of each kind."""

Json: TypeAlias = dict[str, Any]
Who: TypeAlias = tuple[str, str, frozenset[str]]
"""A user, with role and groups."""


@dataclass(frozen=True, slots=True)
class Question:
    """A request as Cedar takes it.

    Attributes:
        body: principal, action, resource and context, as if it had no arguments.
        entities: who and what it is about.
        tags: the arguments that rules read.
    """

    body: Json
    entities: cedarpy.Entities
    tags: Json

    def whole(self) -> tuple[Json, cedarpy.Entities]:
        """With its arguments."""
        if not self.tags:
            return self.body, self.entities
        uid = _uid("Arguments", "call")
        delta = {"uid": uid, "attrs": {}, "parents": [], "tags": self.tags}
        context = {**self.body["context"], "arguments": {"__entity": uid}}
        return {**self.body, "context": context}, self.entities.with_added_json_str(json.dumps([delta]))


class Questions:
    """Asks; `reads` are the arguments that rules look at."""

    def __init__(self, reads: Iterable[str]) -> None:
        self._reads = sorted(reads)
        self._of_call = lru_cache(maxsize=_PAIRS)(_of_call)
        self._of_access = lru_cache(maxsize=_PAIRS)(_of_access)
        self._of_secret = lru_cache(maxsize=_PAIRS)(_of_secret)
        self._of_connection = lru_cache(maxsize=_PAIRS)(_of_connection)

    def about(self, request: Request) -> Question:
        """The request as Cedar takes it, and the entities.

        Raises:
            UnreadableError: it cannot be shown truly.
        """
        if "." in request.server:
            raise UnreadableError("a server's name holds no dot")
        if isinstance(request, Access):
            return self._access(request)
        if isinstance(request, SecretUse):
            return self._secret_use(request)
        return self._connection(request) if isinstance(request, Connection) else self._call(request)

    def _call(self, call: ToolCall) -> Question:
        entities = self._of_call(_who(call.principal), call.server, call.tool, call.built_in)
        tags = argument_tags(call.arguments, self._reads, call.origins)
        context: Json = {"annotations": tool_annotations(call.annotations), "arguments": _NO_ARGUMENTS}
        if call.origins is not None:
            context["origins"] = sorted({*call.origins.values()})
        body = _question(call, "call_tool", _uid("Tool", f"{call.server}.{call.tool}"), context)
        return Question(body, entities, tags)

    def _access(self, access: Access) -> Question:
        kind, action = _ACCESS[access.kind]
        try:
            access.name.encode()
        except UnicodeEncodeError as error:
            raise UnreadableError(f"the name of the {access.kind} is no valid Unicode") from error
        entities = self._of_access(_who(access.principal), access.server, kind, access.name, access.built_in)
        context: Json = {"open_world": access.open_world}
        tags: Json = {}
        if access.kind == "prompt":
            tags = argument_tags(access.arguments, self._reads)
            context |= {"arguments": _NO_ARGUMENTS}
        body = _question(access, action, _uid(kind, f"{access.server}.{access.name}"), context)
        return Question(body, entities, tags)

    def _connection(self, connection: Connection) -> Question:
        entities = self._of_connection(
            _who(connection.principal), connection.server, connection.host, connection.port, connection.built_in
        )
        context = {"scheme": connection.scheme, "server": {"__entity": _uid("Server", connection.server)}}
        host = _uid("Host", place(connection.host, connection.port))
        return Question(_question(connection, "connect", host, context), entities, {})

    def _secret_use(self, use: SecretUse) -> Question:
        entities = self._of_secret(_who(use.principal), use.server, use.name, use.host, use.port, use.built_in)
        host = {"__entity": _uid("Host", place(use.host, use.port))}
        context = {"host": host, "server": {"__entity": _uid("Server", use.server)}}
        return Question(_question(use, "use_secret", _uid("Secret", use.name), context), entities, {})


def place(host: str, port: int) -> str:
    """A host and a port as rules and people write them: `example.com:443`, `[2001:db8::1]:443`."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _question(request: Request, action: str, resource: Json, context: Json) -> Json:
    context |= {"labels": sorted(request.labels), "task": request.task}
    if request.principal.key is not None:
        context["key"] = request.principal.key
    if request.principal.scopes is not None:
        context["scopes"] = sorted(request.principal.scopes)
    return {
        "principal": _uid("User", request.principal.user),
        "action": _uid("Action", action),
        "resource": resource,
        "context": context,
    }


def _of_call(who: Who, server: str, tool: str, built_in: bool) -> cedarpy.Entities:  # noqa: FBT001 - a cache's key
    attributes = {"name": tool, "server": server, "built_in": built_in}
    return _parsed(
        *_user(who),
        _entity("Server", server, {"built_in": built_in}),
        _entity("Tool", f"{server}.{tool}", attributes, _uid("Server", server)),
        _entity("Arguments", "none"),
    )


def _of_access(who: Who, server: str, kind: str, name: str, built_in: bool) -> cedarpy.Entities:  # noqa: FBT001 - a cache's key
    attributes = {"name": name, "server": server, "built_in": built_in}
    return _parsed(
        *_user(who),
        _entity("Server", server, {"built_in": built_in}),
        _entity(kind, f"{server}.{name}", attributes, _uid("Server", server)),
        _entity("Arguments", "none"),
    )


def _of_connection(
    who: Who,
    server: str,
    host: str,
    port: int,
    built_in: bool,  # noqa: FBT001 - a cache's key
) -> cedarpy.Entities:
    return _parsed(
        *_user(who),
        _entity("Server", server, {"built_in": built_in}),
        _entity("Host", place(host, port), {"name": host, "port": port}),
    )


def _of_secret(
    who: Who,
    server: str,
    name: str,
    host: str,
    port: int,
    built_in: bool,  # noqa: FBT001 - a cache's key
) -> cedarpy.Entities:
    return _parsed(
        *_user(who),
        _entity("Server", server, {"built_in": built_in}),
        _entity("Host", place(host, port), {"name": host, "port": port}),
        _entity("Secret", name, {"name": name}),
    )


def _who(principal: Principal) -> Who:
    return principal.user, principal.role.value, principal.groups


def _user(who: Who) -> tuple[Json, ...]:
    user, role, groups = who
    named = sorted(groups)
    parents = [_uid("Group", group) for group in named]
    return (_entity("User", user, {"role": role}, *parents), *(_entity("Group", group) for group in named))


def _parsed(*entities: Json) -> cedarpy.Entities:
    return cedarpy.Entities.from_json_str(json.dumps(entities), schema())


def _entity(kind: str, name: str, attributes: Mapping[str, Any] | None = None, *parents: Json) -> Json:
    return {"uid": _uid(kind, name), "attrs": dict(attributes or {}), "parents": list(parents)}


def _uid(kind: str, name: str) -> Json:
    return {"type": kind, "id": name}


_ACCESS = {"resource": ("Resource", "read_resource"), "prompt": ("Prompt", "get_prompt")}
_NO_ARGUMENTS = {"__entity": _uid("Arguments", "none")}
