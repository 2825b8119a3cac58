"""The guest servers at the level of lines: what no well-behaved client sends, and order between calls."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from servers_harness import MODERN, SERVERS, RawServer, local

LEGACY = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RawServer]:
    with RawServer(local("code", tmp_path)) as server:
        yield server


def error_of(answer: dict[str, Any]) -> tuple[Any, int]:
    return answer["id"], answer["error"]["code"]


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        (b"{broken", (None, -32700)),
        (b'{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}', (None, -32700)),
        (b"\xff\xfe", (None, -32700)),
        (b"[" * 100_000, (None, -32700)),
        (b'{"jsonrpc":"2.0","id":1,"method":"ping","params":' + b'{"a":' * 70 + b"1" + b"}" * 71, (None, -32700)),
        (b'[{"jsonrpc":"2.0","id":1,"method":"ping"}]', (None, -32600)),
        (b"7", (None, -32600)),
        (b'{"jsonrpc":"2.0","id":null,"method":"ping"}', (None, -32600)),
        (b'{"jsonrpc":"2.0","id":[1],"method":"ping"}', (None, -32600)),
        (b'{"jsonrpc":"2.0","id":4,"method":"ping","params":[1]}', (4, -32602)),
        (b'{"id":4,"method":"ping"}', (4, -32600)),
        (b'{"jsonrpc":"2.0","id":"x","method":"nothing"}', ("x", -32601)),
    ],
)
def test_a_broken_message_is_answered_and_the_next_one_served(
    server: RawServer, line: bytes, answer: tuple[Any, int]
) -> None:
    server.send_line(line)
    assert error_of(server.receive()) == answer
    assert server.ask("ping", request_id="after")["result"] == {}


def test_a_message_that_is_too_long_is_refused_and_the_next_one_served(server: RawServer) -> None:
    server.send_line(b'{"jsonrpc":"2.0","id":1,"method":"' + b"x" * (17 * 2**20) + b'"}')
    assert error_of(server.receive()) == (None, -32700)
    assert server.ask("ping")["result"] == {}


def test_responses_and_unknown_notifications_are_ignored(server: RawServer) -> None:
    server.send_line(b'{"jsonrpc":"2.0","id":9,"result":{}}')
    server.send("notifications/whatever")
    server.send("notifications/cancelled", {"requestId": [1]})
    server.send("notifications/cancelled", {"requestId": 77})
    assert server.ask("ping")["result"] == {}


@pytest.mark.parametrize("params", [{}, {"name": "none"}, {"name": 3}, {"name": "run", "arguments": [1]}])
def test_a_call_that_names_no_tool_is_a_protocol_error(server: RawServer, params: dict[str, Any]) -> None:
    assert server.ask("tools/call", {**params, "_meta": MODERN})["error"]["code"] == -32602


def test_wrong_arguments_are_a_result_that_says_what_to_mend(server: RawServer) -> None:
    arguments = {"language": "cobol", "code": "x"}
    result = server.ask("tools/call", {"name": "run", "arguments": arguments, "_meta": MODERN})["result"]
    assert result["isError"] is True
    assert "language must be one of python, bash, javascript, not 'cobol'" in result["content"][0]["text"]


def test_an_id_that_is_still_in_use_is_refused_without_touching_the_call(server: RawServer) -> None:
    server.call("run", 5, language="bash", code="read x; echo $x", stdin="still fine")
    server.call("run", 5, language="bash", code="echo second")
    answers = [server.receive(), server.receive()]
    assert sorted("error" in answer for answer in answers) in ([False, True], [False, False])
    first = next(answer for answer in answers if answer["id"] == 5)
    assert first["result"]["structuredContent"]["stdout"] == "still fine\n"


def test_an_id_may_be_used_again_once_it_was_answered(server: RawServer) -> None:
    for _ in range(2):
        assert server.ask("tools/list", {"_meta": MODERN}, 5)["result"]["tools"]


def test_a_slow_call_does_not_hold_up_others(server: RawServer) -> None:
    server.call("run", "slow", language="bash", code="while [ ! -e go ]; do sleep 0.01; done; echo slow")
    server.call("run", "quick", language="bash", code="touch go; echo quick")
    answered = [server.receive()["id"], server.receive()["id"]]
    assert set(answered) == {"slow", "quick"}


def test_more_calls_than_workers_are_all_answered(server: RawServer) -> None:
    for number in range(20):
        server.call("run", number, language="bash", code=f"echo {number}")
    answers = [server.receive() for _ in range(20)]
    assert {answer["id"]: answer["result"]["structuredContent"]["stdout"] for answer in answers} == {
        number: f"{number}\n" for number in range(20)
    }


def test_a_flood_of_calls_is_refused_beyond_the_backlog(server: RawServer) -> None:
    for number in range(100):
        server.call("run", number, language="bash", code="while [ ! -e go ]; do sleep 0.01; done")
    refused = server.receive()
    assert refused["error"]["code"] == -32603
    assert "too many calls" in refused["error"]["message"]
    assert server.ask("tools/list", {"_meta": MODERN}, "list")["result"]


def test_a_cancelled_call_is_ended_and_never_answered(server: RawServer) -> None:
    server.call("run", "doomed", language="bash", code="touch started; sleep 1000")
    server.call("run", "probe", language="bash", code="while [ ! -e started ]; do sleep 0.01; done")
    assert server.receive()["id"] == "probe"
    server.send("notifications/cancelled", {"requestId": "doomed"})
    server.call("run", "after", language="bash", code="while pgrep -x -f 'sleep 1000' >/dev/null; do sleep 0.01; done")
    assert server.receive()["id"] == "after"


def test_progress_comes_under_its_token_and_grows(server: RawServer) -> None:
    code = "for i in 1 2 3; do echo line $i; sleep 0.2; done"
    params = {"name": "run", "arguments": {"language": "bash", "code": code}, "_meta": {**MODERN, "progressToken": "t"}}
    server.send("tools/call", params, 1)
    told = []
    while (message := server.receive()).get("id") != 1:
        assert message["method"] == "notifications/progress"
        assert message["params"]["progressToken"] == "t"
        told.append(message["params"])
    assert "".join(part["message"] for part in told) == "line 1\nline 2\nline 3\n"
    numbers = [part["progress"] for part in told]
    assert numbers == sorted(set(numbers))


@pytest.mark.parametrize("name", SERVERS)
def test_the_end_of_input_ends_the_server_and_what_it_started(name: str, tmp_path: Path) -> None:
    server = RawServer(local(name, tmp_path))
    assert server.ask("ping")["result"] == {}
    if name != "files":
        tool = {"code": ("run", {"language": "bash", "code": "echo $$ > pid; sleep 1000"})}
        call = tool.get(name, ("process_start", {"command": "echo $$ > pid; sleep 1000"}))
        server = _restart(server, name, tmp_path)
        server.call(call[0], "long", **call[1])
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
            server.ask("tools/list", {"_meta": MODERN}, "wait")
    with server:
        pass
    assert server.process.returncode == 0
    if name != "files":
        assert not Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}").exists()


def _restart(server: RawServer, name: str, workspace: Path) -> RawServer:
    with server:
        pass
    return RawServer(local(name, workspace))


def test_a_killed_server_leaves_no_program_behind(tmp_path: Path) -> None:
    server = RawServer(local("code", tmp_path))
    code = "echo $$ > pid; (setsid sleep 1000 & echo $! > pid2); sleep 1000"
    server.call("run", "long", language="bash", code=code)
    while not (tmp_path / "pid2").exists() or not (tmp_path / "pid2").read_text():
        server.ask("tools/list", {"_meta": MODERN}, "wait")
    pids = [(tmp_path / name).read_text().strip() for name in ("pid", "pid2")]
    server.process.kill()
    with server:
        pass
    # The keepers notice; `tail` waits for each process as long as the test's own time allows.
    for pid in pids:
        subprocess.run(["tail", f"--pid={pid}", "-f", "/dev/null"], check=True, timeout=30)


def test_prints_of_the_server_itself_do_not_reach_the_protocol(tmp_path: Path) -> None:
    parameters = local("code", tmp_path)
    boot = (
        "import sys, runpy, os\n"
        "from muxi_servers.kit import frames\n"
        "claim = frames.claim_standard_streams\n"
        "def noisy():\n"
        "    claimed = claim(); print('stray', flush=True); os.write(1, b'stray too'); return claimed\n"
        "frames.claim_standard_streams = noisy\n"
        "sys.argv = ['x']\n"
        "runpy.run_module('muxi_servers.code', run_name='__main__')\n"
    )
    parameters.args = ["-I", "-c", boot]
    with RawServer(parameters, stderr=subprocess.PIPE) as server:
        assert server.ask("ping")["result"] == {}
        server.process.stdin.close()
        assert b"stray" in server.process.stderr.read()


def test_unknown_arguments_of_the_server_are_refused(tmp_path: Path) -> None:
    parameters = local("files", tmp_path)
    done = subprocess.run([parameters.command, *parameters.args, "--more"], capture_output=True, check=False)
    assert done.returncode == 1
    assert b"--workspace FOLDER" in done.stderr


def test_a_fault_of_the_server_is_logged_and_masked(tmp_path: Path) -> None:
    parameters = local("files", tmp_path)
    boot = (
        "import sys, runpy\n"
        "from muxi_servers.files import reading\n"
        "def broken(*_):\n"
        "    raise RuntimeError('the inner secret')\n"
        "reading.Reading.stat = broken\n"
        "sys.argv = ['x']\n"
        "runpy.run_module('muxi_servers.files', run_name='__main__')\n"
    )
    parameters.args = ["-I", "-c", boot]
    with RawServer(parameters, stderr=subprocess.PIPE) as server:
        answer = server.ask("tools/call", {"name": "stat", "arguments": {"path": "x"}, "_meta": MODERN})
        assert answer["error"]["code"] == -32603
        assert "secret" not in json.dumps(answer)
        server.process.stdin.close()
        assert b"the inner secret" in server.process.stderr.read()


def test_both_eras_are_served_as_the_first_request_says(tmp_path: Path) -> None:
    with RawServer(local("files", tmp_path)) as server:
        assert server.ask("initialize", LEGACY)["result"]["protocolVersion"] == "2025-11-25"
        server.send("notifications/initialized")
        listed = server.ask("tools/list")["result"]
        assert set(listed) == {"tools"}
        assert server.ask("tools/list", {"_meta": MODERN})["error"]["code"] == -32600
    with RawServer(local("files", tmp_path)) as server:
        found = server.ask("server/discover", {"_meta": MODERN})["result"]
        assert found["supportedVersions"] == ["2026-07-28"]
        assert {"resultType", "ttlMs", "cacheScope", "_meta"} <= set(found)
        assert server.ask("initialize", LEGACY)["error"]["code"] == -32022
        assert server.ask("ping", {"_meta": MODERN})["error"]["code"] == -32601
