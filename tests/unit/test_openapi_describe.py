"""Documents as APIs of the world have them, and the tools, hosts and secrets that come of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from api_document import described, document, operation_of, operations_of, small, text_of

from muxi_runtime.catalog.added import AddedServers
from muxi_runtime.catalog.catalog import load_manifest
from muxi_runtime.catalog.manifest import Manifest
from muxi_runtime.catalog.review import review
from muxi_runtime.errors import ConfigError
from muxi_runtime.installing.documents import manifest_fields
from muxi_servers.kit.schema import find_error, find_unknown_word
from muxi_servers.openapi.answers import output_schema
from muxi_servers.openapi.document import read
from muxi_servers.openapi.server import build

DOCUMENTS = {
    "pets": text_of("pets.yaml", origin="https://pets.example.com"),
    "tickets": text_of("tickets.json"),
    "storage": text_of("storage.yaml"),
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_server_takes_what_was_made_of_a_document(name: str) -> None:
    found = described(DOCUMENTS[name], name)
    for operation in operations_of(found).values():
        assert find_unknown_word(operation["input"]) is None
        assert find_unknown_word(output_schema(operation["answer"])) is None
        assert len(f"{name}__{operation['name']}") <= 64
    assert build(read(found.content)) is not None


def test_a_pet_store_in_yaml_of_3_0() -> None:
    found = described(DOCUMENTS["pets"], "pets")
    assert (found.title, found.description, found.version) == ("Pet store", "Pets, and who owns them.", "1.4.0")
    assert found.hosts == ("pets.example.com:443",)
    assert found.secrets == {"PETS_API_KEY": {"hosts": ["pets.example.com:443"], "places": ["header"]}}
    assert found.notes == ("It needs a key (From your account page): `muxi-runtime secrets set PETS_API_KEY`.",)
    tools = operations_of(found)
    assert set(tools) == {
        *("listPets", "createPet", "showPet", "replacePet", "deletePet", "readLog", "flood", "elsewhere"),
    }
    listing = tools["listPets"]
    assert listing["title"] == "List pets"
    assert listing["description"] == "List pets\nhttps://pets.example.com/v1/pets (GET)"
    assert listing["pages"] == {"items": ["items"], "kind": "cursor", "path": ["next_cursor"], "argument": "cursor"}
    assert listing["input"]["properties"]["pages"]["maximum"] == 20
    assert listing["input"]["properties"]["limit"] == {
        "type": "integer",
        "minimum": 1,
        "maximum": 100,
        "description": "[query] (default: 2)",
    }
    assert tools["readLog"]["pages"]["kind"] == "link"
    assert tools["showPet"]["path"] == ["/pets/", {"argument": "petId"}]
    assert tools["createPet"]["input"]["required"] == ["body"]
    body = tools["createPet"]["input"]["properties"]["body"]
    assert "id" not in body["properties"]  # the API makes it
    assert body["properties"]["tag"]["type"] == ["string", "null"]
    assert body["properties"]["parents"]["items"] == {"description": "As the object that it is in."}


@pytest.mark.parametrize(
    ("tool", "reads", "destroys", "repeats"),
    [
        ("listPets", True, False, True),
        ("createPet", False, False, False),
        ("replacePet", False, False, True),
        ("deletePet", False, True, True),
    ],
)
def test_the_method_says_what_a_tool_does(tool: str, reads: bool, destroys: bool, repeats: bool) -> None:  # noqa: FBT001
    found = operations_of(described(DOCUMENTS["pets"]))[tool]
    assert (found["read_only"], found["destructive"], found["idempotent"]) == (reads, destroys, repeats)


def test_tickets_in_json_of_3_1() -> None:
    found = described(DOCUMENTS["tickets"], "tickets")
    tools = operations_of(found)
    assert set(tools) == {"tickets_list", "tickets_create", "whoami", "files_get"}
    assert found.hosts == ("files.example.com:443", "tickets.example.com:443")
    assert found.secrets == {
        "TICKETS_LOGIN": {"hosts": ["files.example.com:443", "tickets.example.com:443"], "places": ["header"]},
        "TICKETS_BASIC": {"hosts": ["tickets.example.com:443"], "places": ["header"]},
    }
    assert "Its requests go to 2 hosts: files.example.com:443, tickets.example.com:443." in found.notes
    assert "Left out: POST /tickets/{number}/attachments: it wants a body of another kind: image/png" in found.notes
    assert "It needs user:password: `muxi-runtime secrets set TICKETS_BASIC`." in found.notes
    assert tools["whoami"]["optional"]
    assert tools["whoami"]["path"] == ["/users/@me"]
    state = tools["tickets_list"]["input"]["properties"]["state"]
    assert (state["type"], state["enum"]) == (["string", "null"], ["open", "closed", None])
    body = tools["tickets_create"]["input"]["properties"]["body"]
    assert tools["tickets_create"]["body"] == {"type": "application/vnd.tickets.v2+json", "form": "json"}
    assert sorted(body["required"]) == ["kind", "title"]
    for fits in ({"title": "a", "kind": "bug", "steps": ["b"]}, {"title": "a", "kind": "wish"}):
        assert find_error(fits, body) is None
    assert find_error({"kind": "bug"}, body) == "title is missing"
    answer = tools["tickets_list"]["answer"]["items"]
    assert set(answer["properties"]) == {"title", "number", "blocks"}


def test_storage_in_yaml_of_3_1_with_names_that_are_none() -> None:
    found = described(DOCUMENTS["storage"], "storage")
    tools = operations_of(found)
    assert set(tools) == {"get_buckets", "upload_a_file", "head_buckets_bucket"}
    assert found.hosts == ("eu.storage.example.com:443",)
    assert tools["get_buckets"]["base"] == "https://eu.storage.example.com/v2"
    arguments = tools["get_buckets"]["input"]["properties"]
    assert set(arguments) == {"filter_owner", "filter_owner_2", "columns", "where", "body_2", "pages"}
    assert arguments["filter_owner"]["description"] == "[query filter[owner]] (format: uuid)"
    assert tools["get_buckets"]["pages"] == {"items": ["data"], "kind": "url", "path": ["links", "next"]}
    upload = tools["upload_a_file"]
    assert upload["description"] == "Deprecated.\nhttps://eu.storage.example.com/v2/buckets/{bucket} (POST)"
    assert upload["input"]["properties"]["bucket"]["description"] == "[path] (pattern: ^(a+)+$)"


def test_only_what_was_chosen_becomes_a_tool() -> None:
    def names(*patterns: str) -> set[str]:
        return set(operations_of(described(DOCUMENTS["pets"], operations=patterns)))

    assert names("deletePet") == {"deletePet"}
    assert names("GET /pets*") == {"listPets", "showPet"}
    assert names("pets") == {"listPets", "createPet"}
    with pytest.raises(ConfigError, match="no operation that fits --operation"):
        names("nothing")


def test_a_server_that_a_person_gives_takes_the_place_of_all_others() -> None:
    found = described(DOCUMENTS["tickets"], server="https://mine.example.org:8443/base/")
    assert found.hosts == ("mine.example.org:8443",)
    assert operations_of(found)["files_get"]["base"] == "https://mine.example.org:8443/base"


@pytest.mark.parametrize(
    ("servers", "base", "url"),
    [
        ([{"url": "https://a.example.com/x/"}], "", "https://a.example.com/x"),
        ([{"url": "/v2"}], "https://docs.example.com/spec/openapi.json", "https://docs.example.com/v2"),
        ([{"url": "../v2"}], "https://docs.example.com/a/b/openapi.json", "https://docs.example.com/a/v2"),
        ([], "https://docs.example.com/openapi.json", "https://docs.example.com"),
        ([{"url": "http://A.Example.COM:80"}], "", "http://a.example.com"),
        ([{"url": "https://bücher.example"}], "", "https://xn--bcher-kva.example"),
        ([{"url": "https://[2001:db8::1]:8443/a b".replace(" ", "%20")}], "", "https://[2001:db8::1]:8443/a%20b"),
    ],
)
def test_where_requests_go(servers: list[Any], base: str, url: str) -> None:
    data = json.dumps(small({"/x": {"get": {}}}, servers=servers)).encode()
    assert operation_of(data, base=base)["base"] == url


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"openapi": "2.0"}, "of version '2.0'"),
        ({"openapi": "3.2.0"}, "of version '3.2.0'"),
        ({"openapi": None, "swagger": "2.0"}, "Swagger"),
        ({"openapi": ""}, "no document of OpenAPI"),
        ({"servers": []}, "names no server.*--server"),
        ({"servers": [{"url": "/v1"}]}, "relative, and the document is a file"),
        ({"paths": {}}, "no operation at all"),
        ({"paths": {"/x": {"get": {"parameters": [{"$ref": "other.yaml#/x"}]}}}}, "refers to another one"),
        ({"paths": {"/x": {"$ref": "#/nowhere"}}}, "not in it"),
        ({"paths": {"no-slash": {"get": {}}}}, "No tool can be made.*begins with one slash"),
    ],
)
def test_what_no_server_can_be_made_of_says_why(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        described(json.dumps({**small({"/x": {"get": {}}}), **changes}).encode())


def test_schemas_permit_more_than_the_document_rather_than_less() -> None:
    parts = {
        "any": True,
        "either": {"oneOf": [{"type": "string"}, {"type": "integer"}]},
        "unclear": {"anyOf": [{"type": "string"}, {"description": "anything"}]},
        "nested": {"anyOf": [{"type": "string"}, {"oneOf": [{"type": "integer"}]}]},
        "mixed": {"oneOf": [{"enum": ["a"], "type": "string"}, {"enum": [1], "type": "integer"}]},
        "fields": {
            "oneOf": [
                {
                    "type": "object",
                    "properties": {"kind": {"const": "a"}, "x": {"type": "string"}},
                    "required": ["kind"],
                },
                {"type": "object", "properties": {"kind": {"const": "b"}}, "required": ["kind", "x"]},
            ]
        },
        "odd": {"type": "quaternion", "minLength": -1, "maximum": "x", "enum": "y"},
        "map": {"type": "object", "additionalProperties": {"type": "integer"}},
    }
    body = {"content": {"application/json": {"schema": {"type": "object", "properties": parts}}}}
    schema = operation_of(document({"requestBody": body}, method="post"))["input"]["properties"]["body"]
    for fits in (
        {"any": [1]},
        {"either": "a"},
        {"either": 1},
        {"unclear": 1},
        {"nested": 1},
        {"mixed": 1},
        {"fields": {"kind": "b", "x": "7", "y": []}},
        {"odd": {}},
        {"map": {"a": 1}},
    ):
        assert find_error(fits, schema) is None
    for wrong in ({"either": []}, {"mixed": "b"}, {"fields": {}}, {"map": {"a": "b"}}):
        assert find_error(wrong, schema)


def test_an_update_of_the_request_is_another_definition() -> None:
    one = operation_of(document(path="/things"))
    other = operation_of(document(path="/other"))
    assert one["name"] == other["name"]
    assert one["description"] != other["description"]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_nothing_about_an_honest_document_looks_suspicious(name: str) -> None:
    tools = [
        {"name": o["name"], "description": o["description"], "inputSchema": o["input"]}
        for o in operations_of(described(DOCUMENTS[name], name)).values()
    ]
    assert review(tools, {}) == []


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_manifest_asks_for_hosts_secrets_and_little_else(name: str, tmp_path: Path) -> None:
    found = described(DOCUMENTS[name], name)
    fields, notes = manifest_fields(found, {}, is_update=False)
    added = AddedServers(tmp_path)
    added.put(Manifest(name=name, image="sha256:" + "a" * 64, **fields), [])
    manifest = load_manifest(added.manifest(name), name)
    assert notes == []
    assert manifest.profile.network.allow == found.hosts
    assert set(manifest.profile.secrets) == set(found.secrets)
    assert manifest.profile.workspace == "none"
    assert manifest.profile.limits.memory_mib == 256
    assert manifest.labels.all == ("untrusted",)
    larger, _ = manifest_fields(found, {"limits_class": "code"}, is_update=False)
    assert "limits" not in larger["profile"]
