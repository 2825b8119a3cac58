"""`make conformance`: the official suite through a running gateway, for every pair of eras and both transports.

Then its client sets, see `client_sets`. Prints two tables and what failed in them. Exits with 1 if anything failed that
is not expected, or passed that is said to be impossible.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml
from node_tools import NODE_MODULES, conformance
from running import COMMAND, running_runtime

from conformance_mcp.client_sets import client_table, run_client_sets
from conformance_mcp.image import IMAGE, build_image
from conformance_mcp.verdicts import exceptions, failure, is_warned
from muxi_runtime.catalog.builtin import built_in_manifests

REVISIONS = {"2025-11-25": "legacy", "2026-07-28": "modern"}
REQUIREMENTS = NODE_MODULES / "@modelcontextprotocol" / "conformance" / "requirements"
START_SECONDS = 30

EXPECTED: dict[tuple[str, str], dict[str, str]] = {
    ("modern", "legacy"): {
        "input-required-result-basic-elicitation": (
            "the suite wants the question under the key `user_name`: keys are a word of the modern era, "
            "and a legacy server has no way to say one"
        ),
        "server-stateless": (
            "one of its checks wants a tool to refuse a client for a capability that this request does not declare: a "
            "legacy server is told once, in a handshake that is made before any caller is known"
        ),
    },
}
"""By the era of the client and of the server: scenarios that cannot pass, each with its reason."""


@dataclass(frozen=True)
class Row:
    """One run of the suite."""

    transport: str
    client: str
    server: str
    revision: str
    total: int
    failed: dict[str, str]
    warned: list[str]

    @property
    def expected(self) -> dict[str, str]:
        return EXPECTED.get((self.client, self.server), {})

    @property
    def is_as_expected(self) -> bool:
        return self.total > 0 and self.failed.keys() == self.expected.keys()


def main() -> int:
    """Run all of it; the exit code."""
    done = subprocess.run(
        [*COMMAND, "images", "list", "--json"], capture_output=True, text=True, check=True, timeout=60
    )
    base = next(image["reference"] for image in json.loads(done.stdout) if image["name"] == "base")
    build_image(base)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="muxi-conformance-") as folder, _over_http() as urls:
        home = Path(folder) / "home"
        with running_runtime(home, {"servers": _servers(Path(folder), urls)}) as runtime:
            for transport in ("sandbox", "http"):
                for server in REVISIONS.values():
                    url = f"{runtime.url}/{transport}-{server}"
                    rows += [_run(transport, server, url, revision, Path(folder)) for revision in REVISIONS]
        client_rows = run_client_sets(Path(folder))
    sys.stdout.write("\n".join([*_table(rows), "", *client_table(client_rows)]) + "\n")
    return 0 if all(row.is_as_expected for row in [*rows, *client_rows]) else 1


def _servers(folder: Path, urls: dict[str, str]) -> dict[str, object]:
    """Settings of the fixture in all its forms; the built-in servers rest."""
    servers: dict[str, object] = {name: {"enabled": False} for name in built_in_manifests()}
    for era in REVISIONS.values():
        manifests: dict[str, dict[str, object]] = {
            f"sandbox-{era}": {"image": IMAGE, "command": ["python3", "-m", "conformance_mcp", "stdio", era]},
            f"http-{era}": {"url": urls[era]},
        }
        for name, manifest in manifests.items():
            (folder / f"{name}.yaml").write_text(json.dumps({"name": name, **manifest}))
            servers[name] = {"manifest": str(folder / f"{name}.yaml")}
    return servers


@contextmanager
def _over_http() -> Iterator[dict[str, str]]:
    """The fixture as a program of its own for each era, at a loopback port."""
    programs, urls = [], {}
    try:
        for era in REVISIONS.values():
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                port = probe.getsockname()[1]
            command = [sys.executable, "-W", "ignore", "-m", "conformance_mcp", "http", str(port), era]
            programs.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
            urls[era] = f"http://127.0.0.1:{port}/mcp"
            _wait_for(port)
        yield urls
    finally:
        for program in programs:
            program.terminate()
            program.wait(timeout=10)


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise SystemExit(f"The fixture did not start within {START_SECONDS} s.")


def _run(transport: str, server: str, url: str, revision: str, folder: Path) -> Row:
    checks = conformance(url, revision, folder / f"{transport}-{server}-{revision}")
    wanted = yaml.safe_load((REQUIREMENTS / f"{revision}.yaml").read_text())["server"]
    failed = {scenario: why for scenario in wanted if (why := failure(checks.get(scenario, [])))}
    warned = [scenario for scenario in wanted if is_warned(checks.get(scenario, []))]
    return Row(transport, REVISIONS[revision], server, revision, len(wanted), failed, warned)


def _table(rows: list[Row]) -> Iterator[str]:
    yield f"{'server over':<12} {'server':<8} {'client':<8} {'revision':<12} passed"
    for row in rows:
        passed = f"{row.total - len(row.failed)}/{row.total}"
        yield f"{row.transport:<12} {row.server:<8} {row.client:<8} {row.revision:<12} {passed}"
        if row.warned:
            yield f"    with warnings: {', '.join(row.warned)}"
        yield from exceptions(row.failed, row.expected)


if __name__ == "__main__":
    sys.exit(main())
