"""Proof at start: real probes in real sandboxes, and what happens when one gets somewhere."""

from __future__ import annotations

import json
import os
import subprocess
from importlib import resources
from pathlib import Path

import pytest
from docker import APIClient
from engine_state import installation
from running import Running

from muxi_runtime.errors import SetupError
from muxi_runtime.journal.memory import MemoryJournal
from muxi_runtime.setup.proof import demand_proof, store_proofs
from muxi_sandbox.contract import Spec
from muxi_sandbox.docker.backend import DockerBackend
from muxi_sandbox.docker.settings import EngineSettings
from muxi_sandbox.fake import FakeBackend
from muxi_sandbox.proof.proof import Finding, Proof, prove

OPEN = Finding("socket-raw", "open one", "it worked", ok=False)


@pytest.mark.promise("proved-at-start")
@pytest.mark.parametrize("mounts", [True, False], ids=["mounts", "volumes"])
async def test_nothing_that_is_tried_in_a_sandbox_works(
    engine_socket: Path, python_image: str, *, mounts: bool
) -> None:
    async with DockerBackend(
        EngineSettings(socket=engine_socket, mounts=mounts), installation("proof-test")
    ) as backend:
        proof = await prove(backend, python_image)
    assert proof.failures() == []
    assert len(proof.findings) > 45


@pytest.mark.promise("proved-at-start")
def test_a_container_that_is_no_sandbox_is_found_out(python_image: str) -> None:
    """The same probe in a container with little but the engine's own defaults: it must see what is missing."""
    source = resources.files("muxi_sandbox.proof").joinpath("probe.py").read_text()
    limits = ["--memory=256m", "--pids-limit=64", "-e", "PROBE_MEMORY=134217728", "-e", "PROBE_PIDS=24"]
    weak = ["--user=0", "--security-opt=seccomp=unconfined", "--network=none", "--entrypoint=python3"]
    ran = subprocess.run(
        ["docker", "run", "--rm", *limits, *weak, python_image, "-I", "-c", source],
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
        env={**os.environ, "DOCKER_API_VERSION": "1.41"},
    )
    # It does not come to its end there: being traced works, and the next signal stops it. What it said counts.
    findings = {line["name"]: line.get("ok") for line in map(json.loads, ran.stdout.splitlines())}
    failed = {name for name, ok in findings.items() if ok is False}
    assert failed >= {"user", "capabilities", "no-new-privileges", "seccomp", "core-dumps", "limit-memory"}
    assert failed >= {"limit-pids", "socket-raw", "create-/probe", "setuid", "call-unshare"}


@pytest.mark.promise("proved-at-start")
async def test_a_probe_that_got_somewhere_stops_the_start_unless_it_is_accepted_by_name(tmp_path: Path) -> None:
    proof = Proof("2026-01-01T00:00:00+00:00", "image", "", (OPEN, Finding("dns", "resolve", "EPERM", ok=True)))
    where = store_proofs(tmp_path, [proof])
    journal = MemoryJournal()
    async with journal:
        with pytest.raises(SetupError, match="socket-raw") as refused:
            await demand_proof([proof], (), journal, where)
        assert "engine.accept_failed_probes: [socket-raw]" in refused.value.remedy
        await demand_proof([proof], ("socket-raw",), journal, where)
        with pytest.raises(SetupError):
            await demand_proof([proof], ("dns",), journal, where)
    assert json.loads(where.read_text())["proofs"][0]["findings"][0]["name"] == "socket-raw"
    assert where.stat().st_mode & 0o777 == 0o600


@pytest.mark.promise("proved-at-start")
async def test_a_probe_that_could_not_run_is_a_failed_one() -> None:
    async with FakeBackend({}) as backend:
        proof = await prove(backend, "no-such-image")
    assert {finding.name for finding in proof.failures()} == {"run", "whole"}


def test_doctor_shows_each_probe(shared_runtime: Running) -> None:
    document = shared_runtime.json("doctor", "--proof")
    assert document["ok"] is True
    names = {finding["name"] for finding in document["proofs"][0]["findings"]}
    assert names >= {"capabilities", "engine-socket", "call-bpf", "fork-bomb"}
    assert json.loads((shared_runtime.home / "proof.json").read_text())["proofs"][0]["runtime"] == ""


async def test_a_runtime_that_the_engine_does_not_have_is_refused_with_its_name(
    engine_socket: Path, python_image: str
) -> None:
    async with DockerBackend(EngineSettings(socket=engine_socket), installation("proof-test")) as backend:
        proof = await prove(backend, python_image, runtime="runsc")
        assert "runsc" in proof.failures()[0].happened
        assert "runsc" not in (await backend.health()).runtimes


async def test_another_runtime_of_the_engine_is_used_and_proved(engine_socket: Path, python_image: str) -> None:
    """The engine knows runc by a second name; any other runtime is asked for in the same way."""
    name = "io.containerd.runc.v2"
    async with DockerBackend(EngineSettings(socket=engine_socket), installation("proof-test")) as backend:
        assert name in (await backend.health()).runtimes
        assert (await prove(backend, python_image, runtime=name)).failures() == []
        spec = Spec(task="t", server="s", image=python_image, command=("cat",), runtime=name)
        async with backend.lease(spec) as lease:
            with APIClient(base_url=f"unix://{engine_socket}", version="1.41") as client:
                assert client.inspect_container(lease.sandbox.id)["HostConfig"]["Runtime"] == name


def test_doctor_names_the_servers_whose_runtime_is_missing(shared_runtime: Running, tmp_path: Path) -> None:
    (tmp_path / "muxi.yaml").write_text("limits_classes: {code: {runtime: runsc}}\n")
    ran = shared_runtime.run("--config", str(tmp_path / "muxi.yaml"), "doctor", "--json", check=False)
    check = next(check for check in json.loads(ran.stdout)["checks"] if check["name"] == "runtime runsc")
    assert check["state"] == "fail"
    named = check["detail"].partition(";")[0].removeprefix("wanted by ").split(", ")
    assert {"code", "shell"} <= set(named)
    assert "files" not in named, "its class has the engine's own runtime"
