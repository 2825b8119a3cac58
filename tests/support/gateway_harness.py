"""A real gateway over the in-memory backend: HTTP, SQLite, Cedar, keys and MCP are real; only the engine is not."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import httpx2
from demo_server import demo_program
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from muxi_runtime.app import Runtime, open_runtime
from muxi_runtime.catalog.builtin import built_in_manifests
from muxi_runtime.catalog.labels import LabelSettings
from muxi_runtime.catalog.settings import RemoteAuth, ServerSettings
from muxi_runtime.config import Settings
from muxi_runtime.gateway.listener import listen, serve_http, url_of
from muxi_runtime.gateway.settings import GatewaySettings
from muxi_runtime.identity.oauth.settings import AuthSettings
from muxi_runtime.policy.settings import PolicySettings
from muxi_sandbox.egress.settings import EgressSettings
from muxi_sandbox.fake import FakeBackend, FakeEngine, Program

BUILT_IN = tuple(built_in_manifests())


@dataclass
class Gateway:
    """A running gateway and the ways in."""

    runtime: Runtime
    url: str
    engine: FakeEngine
    seen: dict[str, Any] = field(default_factory=dict)

    @asynccontextmanager
    async def client(
        self, *, mode: str = "auto", key: str | None = None, headers: dict[str, str] | None = None, **options: Any
    ) -> AsyncIterator[Client]:
        async with (
            self.http(key, headers) as http,
            Client(
                streamable_http_client(options.pop("url", self.url), http_client=http),
                mode=mode,
                cache=None,
                **options,
            ) as client,
        ):
            yield client

    @asynccontextmanager
    async def http(
        self, key: str | None = None, headers: dict[str, str] | None = None
    ) -> AsyncIterator[httpx2.AsyncClient]:
        sent = {**({"Authorization": f"Bearer {key}"} if key else {}), **(headers or {})}
        async with httpx2.AsyncClient(headers=sent, base_url=self.url.removesuffix("/mcp"), timeout=20) as http:
            yield http


DEMO = {"image": "demo@sha256:0", "profile": {"workspace": "write"}}


def write_settings(
    home: Path,
    rules: str | None,
    gateway: GatewaySettings,
    manifests: dict[str, dict[str, Any]],
    *,
    pins: bool,
    overrides: Mapping[str, dict[str, Any]],
    labels: LabelSettings,
    **policy: Any,
) -> Settings:
    home.mkdir(parents=True, exist_ok=True)
    for name, manifest in manifests.items():
        (home / f"{name}.yaml").write_text(json.dumps({"name": name, **manifest}))
    files: tuple[Path, ...] = ()
    if rules is not None:
        (home / "rules.cedar").write_text(rules)
        files = (home / "rules.cedar",)
    disabled = {name: ServerSettings(enabled=False) for name in BUILT_IN}
    servers = {
        name: ServerSettings(manifest=home / f"{name}.yaml", pins=pins, **overrides.get(name, {})) for name in manifests
    }
    return Settings(
        home=home,
        gateway=gateway,
        policy=PolicySettings(files=files, **policy),
        servers=servers | disabled,
        labels=labels,
    )


@asynccontextmanager
async def open_gateway(  # noqa: PLR0913 - one for each thing that a test may set
    home: Path,
    *,
    rules: str | None = None,
    engine: FakeEngine | None = None,
    manifests: dict[str, dict[str, Any]] | None = None,
    programs: Mapping[str, Program] | None = None,
    pins: bool = True,
    auth: AuthSettings | None = None,
    server_auth: Mapping[str, RemoteAuth] | None = None,
    overrides: Mapping[str, dict[str, Any]] | None = None,
    labels: LabelSettings | None = None,
    private: Sequence[str] = (),
    **gateway: Any,
) -> AsyncIterator[Gateway]:
    """Serve the demo server as `demo`, or the `manifests`; `rules` are Cedar, `gateway` its settings.

    `approval_seconds` and `user_words_from` among them are the policy's. `overrides` are settings of servers, by name.
    `private` is `egress.private`.
    """
    policy = {name: gateway.pop(name) for name in ("approval_seconds", "user_words_from") if name in gateway}
    settings = write_settings(
        home,
        rules,
        GatewaySettings(**{"port": 0, "approval_wait_seconds": 0.2, **gateway}),
        manifests or {"demo": DEMO},
        pins=pins,
        overrides=overrides or {},
        labels=labels or LabelSettings(),
        **policy,
    )
    servers = dict(settings.servers)
    for name, shown in (server_auth or {}).items():
        servers[name] = servers[name].model_copy(update={"auth": shown})
    egress = EgressSettings(private=tuple(private))
    settings = settings.model_copy(update={"auth": auth or AuthSettings(), "servers": servers, "egress": egress})
    seen: dict[str, Any] = {"waiting": anyio.Event(), "wait ended": anyio.Event()}
    engine = engine or FakeEngine()
    backend = FakeBackend({"demo@sha256:0": demo_program(seen), **(programs or {})}, engine=engine)
    async with (
        listen(settings.gateway) as socket,
        open_runtime(settings, backend=backend) as runtime,
        anyio.create_task_group() as group,
    ):
        runtime.url = url_of(settings.gateway, socket)
        ready = anyio.Event()

        async def serve() -> None:
            await serve_http(runtime.app, socket, ready=ready.set)

        group.start_soon(serve)
        await ready.wait()
        yield Gateway(runtime, runtime.url, engine, seen)
        group.cancel_scope.cancel()
