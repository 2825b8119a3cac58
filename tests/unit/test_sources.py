"""How people write where a server comes from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muxi_runtime.catalog.sources import Source, SourceKind, parse_source
from muxi_runtime.errors import ConfigError
from muxi_runtime.installing.server_json import read_server_json

DIGEST = "sha256:" + "0" * 64


@pytest.mark.parametrize(
    ("text", "kind", "name", "version"),
    [
        ("npm:@scope/server-thing", SourceKind.NPM, "@scope/server-thing", ""),
        ("npm:@scope/server-thing@1.2.3-rc.1", SourceKind.NPM, "@scope/server-thing", "1.2.3-rc.1"),
        ("npm:thing@latest", SourceKind.NPM, "thing", "latest"),
        ("pypi:mcp-server-time", SourceKind.PYPI, "mcp-server-time", ""),
        ("pypi:Thing_x==2026.1.post1", SourceKind.PYPI, "Thing_x", "2026.1.post1"),
        ("oci:host:5000/team/server:1.0", SourceKind.OCI, "host:5000/team/server:1.0", ""),
        (f"oci:team/server@{DIGEST}", SourceKind.OCI, "team/server", DIGEST),
        ("path:/srv/thing", SourceKind.PATH, "/srv/thing", ""),
        ("openapi:/srv/api.yaml", SourceKind.OPENAPI, "/srv/api.yaml", ""),
        ("openapi:https://a.example/v1/api.json?x=1", SourceKind.OPENAPI, "https://a.example/v1/api.json?x=1", ""),
        ("openapi:http://10.0.0.7:80/api.json", SourceKind.OPENAPI, "http://10.0.0.7:80/api.json", ""),
        ("https://tools.example/mcp", SourceKind.URL, "https://tools.example/mcp", ""),
        ("http://127.0.0.1:9000/mcp", SourceKind.URL, "http://127.0.0.1:9000/mcp", ""),
    ],
)
def test_each_form_is_read_and_written_again(text: str, kind: SourceKind, name: str, version: str) -> None:
    source = parse_source(text)
    assert source == Source(kind, name, version)
    assert parse_source(str(source)) == source


@pytest.mark.parametrize(
    "text",
    [
        "",
        "thing",
        "npm:",
        "npm:--registry=evil",
        "npm:@scope",
        "npm:a b",
        "npm:thing@^1.0",
        "npm:thing@file:../x",
        "npm:../x",
        "npm:git+ssh://x",
        "pypi:-r",
        "pypi:thing>=1",
        "pypi:thing @ https://x",
        "pypi:thing==1;python_version<'3'",
        "oci:-v",
        "oci:UPPER",
        "oci:x@sha256:12",
        "path:",
        "openapi:",
        "openapi:http://elsewhere.example/api.json",
        "openapi:http://8.8.8.8/api.json",
        "openapi:https://user:secret@host/api.json",
        "https://",
        "https://user:secret@host/mcp",
        "https://host/mcp#x",
        "http://elsewhere.example/mcp",
        "https://host:0/",
        "npm:thing\n@1",
        "ftp://x",
        "npm:" + "x" * 3000,
        "npm:-",
        "npm:--global",
        "npm:@-/x",
        "npm:@x/-",
    ],
)
def test_what_is_none_is_refused_with_what_to_write(text: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse_source(text)
    assert refused.value.remedy


@given(st.text(max_size=60))
def test_no_word_for_a_package_can_be_an_option_or_a_path(text: str) -> None:
    for kind in ("npm", "pypi", "oci"):
        try:
            source = parse_source(f"{kind}:{text}")
        except ConfigError:
            continue
        assert not source.name.startswith(("-", ".", "/"))
        assert not any(c.isspace() or c in ";|&$`'\"\\<>" for c in source.name + source.version)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("openapi:/srv/pet-store.yaml", "pet-store"),
        ("openapi:https://api.example.com/v3/openapi.json", "api-example-com"),
        ("openapi:https://example.com/specs/weather.yaml", "weather"),
        ("npm:@modelcontextprotocol/server-everything@1", "everything"),
        ("npm:@playwright/mcp", "playwright"),
        ("npm:chrome-devtools-mcp", "chrome-devtools"),
        ("npm:@upstash/context7-mcp", "context7"),
        ("pypi:mcp-server-time", "time"),
        ("path:/srv/My_Server", "my"),
        ("oci:registry.example/team/weather:2", "weather"),
        ("https://api.tools.example/mcp", "api-tools-example"),
        ("pypi:123", ""),
    ],
)
def test_a_name_is_suggested_where_one_can_be(text: str, name: str) -> None:
    assert parse_source(text).suggested_name == name


def document(tmp_path: Path, **fields: Any) -> Path:
    path = tmp_path / "server.json"
    path.write_text(json.dumps({"name": "io.github.someone/weather-mcp", **fields}))
    return path


def test_a_registry_document_gives_source_name_arguments_and_variables(tmp_path: Path) -> None:
    package = {
        "registryType": "npm",
        "identifier": "@someone/weather-mcp",
        "version": "1.2.0",
        "transport": {"type": "stdio"},
        "packageArguments": [
            {"type": "positional", "value": "serve"},
            {"type": "named", "name": "--units", "default": "metric"},
            {"type": "named", "name": "--unset"},
        ],
        "environmentVariables": [
            {"name": "CACHE", "default": "/tmp"},
            {"name": "API_KEY", "isSecret": True, "default": "never"},
        ],
    }
    found = read_server_json(document(tmp_path, description="Weather.", packages=[package]))
    assert str(found.source) == "npm:@someone/weather-mcp@1.2.0"
    assert found.name == "weather"
    assert found.fields == {
        "description": "Weather.",
        "arguments": ["serve", "--units", "metric"],
        "environment": {"CACHE": "/tmp"},
    }


def test_the_first_package_that_can_be_added_is_taken(tmp_path: Path) -> None:
    packages = [
        {"registryType": "nuget", "identifier": "X", "version": "1"},
        {"registryType": "pypi", "identifier": "weather", "version": "2", "transport": {"type": "sse"}},
        {"registryType": "oci", "identifier": "ghost.example/weather", "version": "3"},
    ]
    assert str(read_server_json(document(tmp_path, packages=packages)).source) == "oci:ghost.example/weather:3"


def test_a_document_of_a_remote_server_gives_its_url(tmp_path: Path) -> None:
    remotes = [
        {"type": "sse", "url": "https://x.example/sse"},
        {"type": "streamable-http", "url": "https://x.example/m"},
    ]
    assert str(read_server_json(document(tmp_path, remotes=remotes)).source) == "https://x.example/m"


@pytest.mark.parametrize("text", ["", "[]", "{", '{"packages": 7}', '{"packages": [7]}', "[" * 100_000])
def test_what_is_no_such_document_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "server.json"
    path.write_text(text)
    with pytest.raises(ConfigError):
        read_server_json(path)


def test_an_argument_that_the_document_leaves_open_is_asked_for(tmp_path: Path) -> None:
    package = {
        "registryType": "pypi",
        "identifier": "thing",
        "packageArguments": [{"type": "positional", "valueHint": "folder", "isRequired": True}],
    }
    with pytest.raises(ConfigError, match="It needs folder"):
        read_server_json(document(tmp_path, packages=[package]))
