"""A whole runtime with servers that may reach hosts: what the operator, the policy and the journal make of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from egress_scene import Host, host
from running import Running

pytestmark = pytest.mark.timeout(280)

ADDRESS = "127.0.0.2"
"""Of the host's loopback, and not one that clients keep from a proxy."""
FETCH = """
import sys, urllib.error, urllib.request
for url in sys.argv[1:]:
    try:
        print(urllib.request.urlopen(url).read().decode())
    except urllib.error.HTTPError as error:
        print(error.code, error.read().decode(), end="")
"""
RULES = """
@id("no-second") @reason("The second is not for this.") @remedy("Use the first.")
forbid (principal, action == Action::"connect", resource)
when { resource.port == %d && context.server == Server::"code" && principal == User::"local" };
"""
MANIFEST = {"image": "build:python", "command": ["python3", "-I", "-m", "muxi_servers.files"]}


@pytest.fixture(scope="module")
def hosts() -> Iterator[tuple[Host, Host]]:
    with host(address=ADDRESS) as first, host(address=ADDRESS) as second:
        yield first, second


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory, hosts: tuple[Host, Host]) -> Iterator[Running]:
    home = tmp_path_factory.mktemp("egress") / "home"
    home.mkdir()
    places = [f"{ADDRESS}:{one.port}" for one in hosts]
    (home / "rules.cedar").write_text(RULES % hosts[1].port)
    for name in ("asks", "narrowed"):
        profile = {"network": {"allow": ["one.example.org", "*.example.net:8443"]}}
        (home / f"{name}.yaml").write_text(json.dumps({"name": name, "profile": profile, **MANIFEST}))
    servers = {
        "code": {"network": {"allow": [*places, "127.0.0.3:80"]}},
        "asks": {"manifest": "asks.yaml"},
        "narrowed": {"manifest": "narrowed.yaml", "network": {"allow": []}},
    }
    settings = {
        "gateway": {"port": 0},
        "servers": servers,
        "egress": {"private": places},
        "policy": {"files": ["default", "rules.cedar"]},
    }
    (home / "muxi.yaml").write_text(json.dumps(settings))
    running = Running(home)
    try:
        running.up()
        yield running
    finally:
        running.run("down")


def fetch(runtime: Running, *urls: str) -> str:
    return str(call(runtime, "code.run", language="python", code=FETCH, args=list(urls))["stdout"])


def call(runtime: Running, tool: str, **arguments: Any) -> Any:
    texts = [f"--json-arg={name}={json.dumps(value)}" for name, value in arguments.items()]
    return runtime.json("call", tool, *texts)["structuredContent"]


def decided(runtime: Running, kind: str = "egress.decided") -> list[dict[str, Any]]:
    lines = runtime.run("journal", "search", "--kind", kind, "--json").stdout.splitlines()
    return [json.loads(line) for line in lines]


def test_a_named_host_is_reached_and_the_journal_says_by_whom_and_by_which_rule(
    runtime: Running, hosts: tuple[Host, Host]
) -> None:
    assert fetch(runtime, f"http://{ADDRESS}:{hosts[0].port}/") == "ok\n"
    event = decided(runtime)[-1]
    assert (event["principal"], event["task"][:2]) == ("local", "t-")
    facts = event["data"]
    assert (facts["server"], facts["host"], facts["port"], facts["address"]) == (
        "code",
        ADDRESS,
        hosts[0].port,
        ADDRESS,
    )
    assert (facts["allowed"], facts["rule"]) == (True, "hosts-of-the-profile")
    leased = {event["data"]["sandbox"]: event["data"] for event in decided(runtime, "sandbox.leased")}
    assert f"{ADDRESS}:{hosts[0].port}" in leased[facts["sandbox"]]["network"]
    assert decided(runtime, "egress.closed")[-1]["principal"] == "local"


def test_a_call_s_connections_are_traced_to_it_from_any_of_its_events(
    runtime: Running, hosts: tuple[Host, Host]
) -> None:
    fetch(runtime, *(f"http://{ADDRESS}:{one.port}/" for one in hosts))
    refused = decided(runtime)[-1]
    for wanted in (str(refused["seq"]), refused["call"], refused["data"]["connection"]):
        found = runtime.json("journal", "trace", wanted)
        assert found["title"] == f"call {refused['call']}"
        kinds = [[event["kind"] for event in part["events"]] for part in found["parts"]]
        assert sorted(kinds[:2]) == [["call.decided"], ["sandbox.leased"]]  # mostly the sandbox was there already
        assert kinds[-1] == ["call.finished"]
        assert ["egress.decided", "egress.closed"] in kinds
        assert ["egress.decided"] in kinds
    sandbox = found["parts"][-1]["events"][0]["data"]["sandbox"]
    assert sandbox == refused["data"]["sandbox"]
    shown = runtime.run("journal", "trace", refused["call"]).stdout
    assert f"connection to {ADDRESS}:{hosts[0].port} ({ADDRESS}) allowed, by rule hosts-of-the-profile" in shown
    assert f"connection to {ADDRESS}:{hosts[1].port} refused, by rule no-second: " in shown
    why = runtime.json("policy", "why", refused["call"])["decisions"]
    assert [one["rule"]["id"] for one in why if one["rule"]][-1] == "no-second"


def test_a_rule_of_the_policy_takes_a_host_away(runtime: Running, hosts: tuple[Host, Host]) -> None:
    said = fetch(runtime, f"http://{ADDRESS}:{hosts[1].port}/")
    assert said.startswith("403")
    assert "The second is not for this. Use the first. (rule no-second)" in said
    assert hosts[1].connections == 0
    assert decided(runtime)[-1]["data"]["rule"] == "no-second"


def test_a_private_address_needs_the_operator_twice(runtime: Running) -> None:
    said = fetch(runtime, "http://127.0.0.3/")
    assert said.startswith("403")
    assert "egress.private" in said


def test_a_server_that_was_given_no_hosts_has_none(runtime: Running, hosts: tuple[Host, Host]) -> None:
    found = call(
        runtime, "shell.run", command=f"env | grep -ci proxy; ls /run; (: </dev/tcp/{ADDRESS}/{hosts[0].port}) 2>&1"
    )
    assert found["stdout"].startswith("0\n")
    assert "muxi" not in found["stdout"]
    assert "refused" in found["stdout"] + found["stderr"]


def test_what_is_in_force_is_shown(runtime: Running) -> None:
    servers = {server["name"]: server for server in runtime.json("servers", "list")["servers"]}
    allowed = {name: server["profile"].get("network", {}).get("allow") for name, server in servers.items()}
    assert allowed["asks"] == ["one.example.org", "*.example.net:8443"]
    assert (allowed["narrowed"], allowed["files"]) == ([], [])
    assert "one.example.org, *.example.net:8443" in runtime.run("servers", "list").stdout
    parts = {part["name"]: part for part in runtime.json("status")["components"]}
    assert parts["egress"]["ok"]
    assert parts["egress"]["detail"].startswith("for code, asks;")
    checks = {check["name"]: check for check in runtime.json("doctor")["checks"]}
    assert checks["egress"]["state"] == "ok"


def test_a_tool_that_runs_programs_is_open_world_only_with_hosts(runtime: Running) -> None:
    tools = {tool["name"]: tool["definition"]["annotations"] for tool in runtime.json("tools", "list")["tools"]}
    assert tools["code__run"]["openWorldHint"]
    assert not tools["shell__run"]["openWorldHint"]
