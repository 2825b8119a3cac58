"""Documents of OpenAPI that want the host's memory or time: bounded one by one, and by the process that reads them."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
import pytest
from api_document import SERVER, described, document, operation_of, operations_of, small

from muxi_runtime.errors import ConfigError
from muxi_runtime.installing.openapi.apart import Bounds, describe_apart
from muxi_runtime.installing.openapi.describe import Choice
from muxi_runtime.installing.openapi.names import Names
from muxi_runtime.installing.openapi.operations import METHODS

pytestmark = [pytest.mark.promise("openapi-documents-are-data"), pytest.mark.timeout(30)]

API = Choice("api")
SLOW = b"openapi: 3.1.0\nx: [" + b"a, " * 400_000 + b"a]\n"
"""Some 20 s to read."""


HOST = """
import anyio
from muxi_runtime.installing.openapi import apart
send = apart._send
async def sent(process, whole):
    await send(process, whole)
    print(process.pid, flush=True)
apart._send = sent
data = b'openapi: 3.1.0\\nx: [' + b'a, ' * 990_000 + b'a]\\n'
anyio.run(apart.describe_apart, data, apart.Choice('api'))
"""
"""Has a document read, and tells by which process once that has taken it."""


def dense() -> bytes:
    """Some 150 MiB when it is read."""
    return json.dumps(small({"/a": {"get": {}}}, x=[{"a": f"{n}"} for n in range(400_000)])).encode()


def readers() -> set[str]:
    """Processes of this one that read documents and are not waited for yet."""
    found = set[str]()
    for line in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            held = line.read_bytes()
            parent = (line.parent / "stat").read_text().rpartition(")")[2].split()[1]
        except OSError:
            continue
        if parent == str(os.getpid()) and b"muxi_runtime.installing.openapi" in held:
            found.add(line.parent.name)
    return found


async def test_a_document_is_described_apart_as_it_is_described_here() -> None:
    data = document({"summary": "Lists \u202e things", "security": [{"key": []}]}, components=KEYS)
    assert await describe_apart(data, API) == described(data)


async def test_what_is_wrong_with_a_document_is_said_with_what_to_do_when_it_is_read_apart() -> None:
    many = json.dumps(small({f"/p{n}": {"get": {}} for n in range(1001)})).encode()
    with pytest.raises(ConfigError, match=r"at most 1000 tools\. Choose some: --operation"):
        await describe_apart(many, API)
    with pytest.raises(ConfigError, match="larger than 16 MiB"):
        await describe_apart(b" " * 17 * 2**20, API)


async def test_a_document_that_takes_too_much_memory_is_refused() -> None:
    with pytest.raises(ConfigError, match="too large or too deep to be read: it takes more than 128 MiB"):
        await describe_apart(dense(), API, Bounds(memory_mib=128))


@pytest.mark.parametrize("bounds", [Bounds(cpu_seconds=1), Bounds(wall_seconds=1)])
async def test_a_document_that_takes_too_long_is_refused_and_its_process_is_gone(bounds: Bounds) -> None:
    before = readers()
    with pytest.raises(ConfigError, match="too large or too deep to be read"):
        await describe_apart(SLOW, API, bounds)
    assert readers() <= before


async def test_nothing_reads_on_when_whoever_asked_has_gone() -> None:
    before = readers()
    with anyio.move_on_after(1) as scope:
        await describe_apart(SLOW, API)
    assert scope.cancelled_caught
    assert readers() <= before


@pytest.mark.timeout(90)
def test_nothing_reads_on_when_the_host_is_killed() -> None:
    host = subprocess.Popen([sys.executable, "-P", "-c", HOST], stdout=subprocess.PIPE, text=True)
    assert host.stdout
    with host, host.stdout as said:
        reader = os.pidfd_open(int(said.readline()))
        try:
            signal.pidfd_send_signal(reader, signal.SIGSTOP)  # so that it does not come to its end by itself
            host.kill()
            assert select.select([reader], [], [], 30)[0], "it is there still"
        finally:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(reader, signal.SIGKILL)
            os.close(reader)


async def test_the_process_that_reads_gets_nothing_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    started: dict[str, Any] = {}
    real = anyio.open_process

    async def watched(command: list[str], **options: Any) -> Any:
        started.update(options)
        return await real(command, **options)

    monkeypatch.setenv("MUXI_SECRET_OF_SOMEBODY", "x")
    monkeypatch.setattr(anyio, "open_process", watched)
    await describe_apart(document(), API)
    assert set(started["env"]) == {"PYTHONPATH"}
    assert not started.get("pass_fds")


KEYS = {"securitySchemes": {"key": {"type": "apiKey", "in": "header", "name": "X-Key"}}}


@contextmanager
def at_most(mib: int) -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < mib * 2**20


def refused(whole: dict[str, Any]) -> str:
    with pytest.raises(ConfigError) as error:
        described(json.dumps(whole).encode())
    return str(error.value)


def test_an_address_grows_by_its_variables_no_further_than_it_is_read():
    server = {"url": SERVER + "/{a}" * 200, "variables": {"a": {"default": "x" * 1_000_000}}}
    with at_most(40):
        assert "it has more than 1000 characters" in refused(small({"/x": {"get": {}}}, servers=[server]))


def test_names_that_are_all_the_same_are_told_apart_at_once():
    names = Names(64)
    assert len({names.unique("same") for _ in range(20_000)}) == 20_000


def test_operations_want_a_bounded_number_of_credentials():
    schemes = {"securitySchemes": {"n" * 60 + str(n): {"type": "oauth2"} for n in range(120)}}
    paths = {f"/p{n}": {"get": {"security": [{name: []}]}} for n, name in enumerate(schemes["securitySchemes"])}
    found = described(json.dumps(small(paths, components=schemes)).encode())
    assert (len(operations_of(found)), len(found.secrets)) == (100, 100)
    assert any("more than 100 credentials" in note for note in found.notes)


def test_a_reference_that_is_long_is_not_followed():
    name = "a" * 2000
    shared = {"parameters": {name: {"name": "q", "in": "query"}}}
    operation = {"parameters": [{"$ref": f"#/components/parameters/{name}"}]}
    assert "of more than 1000 characters" in refused(small({"/x": {"get": operation}}, components=shared))


def test_parameters_are_counted_before_they_are_looked_at():
    shared = {"parameters": {"a": {"name": "q", "in": "query"}}}
    operation = {"parameters": [{"$ref": "#/components/parameters/a"}] * 121}
    assert "more than 120 parameters" in refused(small({"/x": {"get": operation}}, components=shared))


@pytest.mark.timeout(15)
@pytest.mark.parametrize("place", ["name", "in", "style"])
def test_a_parameter_whose_words_are_no_text_is_left_out_without_being_written_out(place: str):
    shared = {"parameters": {"a": {"name": "q", "in": "query", place: [1] * 700_000}}}
    operation = {"parameters": [{"$ref": "#/components/parameters/a"}] * 100}
    paths = {f"/p{n}": dict.fromkeys(METHODS, operation) for n in range(140)}
    found = described(json.dumps(small(paths, components=shared)).encode())
    assert all(made["parameters"] == [] for made in operations_of(found).values())


def test_one_that_is_required_and_has_no_name_makes_no_tool():
    operation = {"parameters": [{"name": ["q"], "in": "query", "required": True}]}
    assert "has no name, or no place" in refused(small({"/x": {"get": operation}}))


def test_numbers_are_bounded():
    schema = {"type": "integer", "enum": [1, 2**63], "minimum": -(2**70)}
    made = operation_of(document({"parameters": [{"name": "q", "in": "query", "schema": schema}]}))
    assert made["input"]["properties"]["q"] == {"type": "integer", "description": "[query]"}


def test_values_that_each_schema_refers_to_are_counted_each_time():
    values = {"type": "string", "enum": [f"{n:0200}" for n in range(100)]}
    fields = {"type": "object", "properties": {f"p{n}": {"$ref": "#/components/schemas/E"} for n in range(150)}}
    body = {"requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/P"}}}}}
    paths = {f"/p{n}": {"post": body} for n in range(20)}
    found = described(json.dumps(small(paths, components={"schemas": {"E": values, "P": fields}})).encode())
    assert len(operations_of(found)) == 1
    assert any("too large or too entangled" in note for note in found.notes)


def test_values_of_many_choices_are_not_put_together_beyond_what_is_kept():
    shared = {"schemas": {"E": {"type": "integer", "enum": list(range(200_000))}}}
    schema = {"oneOf": [{"$ref": "#/components/schemas/E"}] * 100}
    data = document({"parameters": [{"name": "q", "in": "query", "schema": schema}]}, components=shared)
    with at_most(100):
        assert "enum" not in operation_of(data)["input"]["properties"]["q"]


def test_large_fields_of_choices_are_not_compared():
    large = {"type": "object", "properties": {"a": {"type": "string", "x": [[n] for n in range(200_000)]}}}
    alike = {"type": "object", "properties": {"b": {"type": "string"}}}
    both = {"A": large, "B": large, "C": alike, "D": alike}
    choices = [{"$ref": f"#/components/schemas/{name}"} for name in both] * 25
    operation = {"parameters": [{"name": "q", "in": "query", "schema": {"oneOf": choices}}]}
    data = json.dumps(small({f"/p{n}": {"get": operation} for n in range(100)}, components={"schemas": both})).encode()
    made = next(iter(operations_of(described(data)).values()))["input"]["properties"]["q"]["properties"]
    assert made == {"a": {}, "b": {"type": "string"}}
