"""Labels of tasks: which results and connections carry one, and why; kept with the task, told before anything is.

Above: the door, which labels a task before it gives out what a server sent; `egress`, before a connection is made;
`control`, by which a person labels a task or takes a label off. Below: the task, the journal, and the database where
the task is kept.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from muxi_runtime.catalog.labels import Label, LabelSettings, origin_pattern, path_pattern
from muxi_runtime.gateway.host_server import HOST
from muxi_runtime.gateway.record_origins import comes_from
from muxi_runtime.gateway.tools import Tool
from muxi_sandbox.egress.names import parse_rule, permits

if TYPE_CHECKING:
    from muxi_runtime.catalog.manifest import Manifest
    from muxi_runtime.catalog.settings import ServerSettings
    from muxi_runtime.gateway.subjects import Subject

__all__ = ["LabelBook", "Reasons"]

Reasons = dict[Label, str]
"""What is carried, and why, as a clause."""


class LabelBook:
    """Tells what carries which label. What a server says in a result changes nothing here."""

    def __init__(
        self,
        *,
        manifests: Callable[[], Mapping[str, Manifest]],
        servers: Mapping[str, ServerSettings],
        settings: LabelSettings,
    ) -> None:
        """`manifests` are those of now; `servers` are the operator's settings of them."""
        self._manifests = manifests
        self._servers = servers
        self._trusted = tuple(map(parse_rule, settings.trusted_hosts))
        self._private = tuple(map(parse_rule, settings.private_hosts))
        paths = "|".join(map(path_pattern, settings.private_paths))
        self._paths = re.compile(paths) if paths else None
        origins = "|".join(map(origin_pattern, settings.trusted_origins))
        self._origins = re.compile(origins, re.IGNORECASE) if origins else None

    def is_remote(self, server: str) -> bool:
        """Whether a call of it leaves this machine, whatever its tools say of themselves."""
        manifest = self._manifests().get(server)
        return manifest is not None and manifest.is_remote

    def is_apart(self, server: str) -> bool:
        """Whether what a server gives back cannot hold what others left in the workspace or on a host."""
        manifest = self._manifests().get(server)
        if manifest is None or manifest.is_remote:
            return False
        return manifest.profile.workspace == "none" and not manifest.profile.network.allow

    def of_result(
        self, what: Tool | Subject, arguments: Mapping[str, Any], result: Mapping[str, Any] | None = None
    ) -> Reasons:
        """What the result of this call will carry, whatever it is: also an error, and what is said in mid-call.

        Where it is known (`result`, as the server sent it) and all of its records come from whom the operator trusts,
        it is not untrusted for what the manifest says or leaves out.
        """
        if what.server == HOST:
            return {}
        return {**self._of_server(what, result), **self.of_text(arguments)}

    def of_text(self, value: object) -> Reasons:
        """What JSON values carry for the paths that they name."""
        if self._paths is None:
            return {}
        if isinstance(value, str):
            found = self._paths.search(value)
            return {Label.PRIVATE: f"labels.private_paths has {found[0][:80]}"} if found else {}
        inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
        return next((reasons for item in inner if (reasons := self.of_text(item))), {})

    def of_host(self, host: str, port: int) -> Reasons:
        """What the answer of a host carries."""
        reasons: Reasons = {}
        if not permits(self._trusted, host, port):
            reasons[Label.UNTRUSTED] = f"a connection to {host}:{port}, which labels.trusted_hosts does not name"
        if permits(self._private, host, port):
            reasons[Label.PRIVATE] = f"a connection to {host}:{port}, which labels.private_hosts names"
        return reasons

    def _of_server(self, what: Tool | Subject, result: Mapping[str, Any] | None) -> Reasons:
        settings = self._servers.get(what.server)
        if settings is not None:
            tool = settings.labels.tools.get(what.name) if isinstance(what, Tool) else None
            said = tool if tool is not None else settings.labels.all
            if said is not None:
                return dict.fromkeys(said, f"servers.{what.server}.labels in muxi.yaml")
        manifest = self._manifests().get(what.server)
        reasons = _defaults(what, manifest)
        if manifest is not None:
            named = manifest.labels.tools.get(what.name, ()) if isinstance(what, Tool) else ()
            for label in (*manifest.labels.all, *named):
                reasons.setdefault(label, "the server's manifest says so")
            if result is not None and isinstance(what, Tool) and self._is_trusted(manifest, what.name, result):
                reasons.pop(Label.UNTRUSTED, None)
        return reasons

    def _is_trusted(self, manifest: Manifest, tool: str, result: Mapping[str, Any]) -> bool:
        """Whether all of a result comes from whom the operator trusts. A server elsewhere may say what it likes."""
        field = manifest.labels.origins.get(tool)
        if field is None or self._origins is None or manifest.is_remote:
            return False
        return comes_from(result, field, self._origins)


def _defaults(what: Tool | Subject, manifest: Manifest | None) -> Reasons:
    """What is untrusted though nobody says so. Hints are a server's own words: of one elsewhere they do not count."""
    if manifest is None:
        return {Label.UNTRUSTED: "nothing is known of the server"}
    if manifest.is_remote:
        return {Label.UNTRUSTED: "the server is elsewhere"}
    if manifest.built_in:
        return {}
    if isinstance(what, Tool) and what.annotations.get("openWorldHint") is False:
        return {}
    return {Label.UNTRUSTED: "an added server, and nothing says that it stays in its sandbox"}
