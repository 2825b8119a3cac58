"""The program as people start it: a process of its own, its exit code, its two outputs."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from muxi_runtime import __version__
from muxi_runtime.cli.exit_codes import ExitCode
from muxi_runtime.cli.main import COMMANDS

PROGRAM = [sys.executable, "-c", "from muxi_runtime.cli.main import main; main()"]
HEAVY = (
    "pydantic",
    "mcp",
    "mcp_types",
    "docker",
    "sqlalchemy",
    "rich",
    "yaml",
    "anyio",
    "starlette",
    "httpx2",
    "cedarpy",
)


@pytest.fixture
def run(tmp_path):
    def start(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "MUXI_HOME": str(tmp_path / "home"), **environ}
        return subprocess.run(
            [*PROGRAM, *arguments],
            env=env,
            capture_output=True,
            text=True,
            timeout=50,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    return start


@pytest.fixture
def answer():
    """A runtime that answers every request with one status and body."""
    servers = []

    def serve(status: int, body: bytes) -> tuple[str, list[dict[str, str]]]:
        seen: list[dict[str, str]] = []

        class Answer(BaseHTTPRequestHandler):
            def _answer(self) -> None:
                seen.append({"method": self.command, "path": self.path, **dict(self.headers)})
                self.send_response(status)
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_DELETE = _answer  # noqa: N815 - the library's names

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
                pass

        server = HTTPServer(("127.0.0.1", 0), Answer)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        servers.append((server, thread))
        return f"http://127.0.0.1:{server.server_port}", seen

    yield serve
    for server, thread in servers:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_and_version_load_nothing_but_click(option):
    program = (
        "import sys; sys.argv[1:] = sys.argv[1:2]\n"
        "from muxi_runtime.cli.main import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code\n"
        f"loaded = [name for name in {HEAVY!r} if name in sys.modules]\n"
        "assert 'click' in sys.modules\n"
        "sys.exit(f'loaded {loaded}' if loaded else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, option], capture_output=True, text=True, timeout=50, check=False
    )
    assert done.returncode == 0, done.stderr


def test_help_lists_every_command_with_its_line(run):
    shown = run("--help").stdout
    for name, (_, line) in COMMANDS.items():
        assert f"  {name} " in shown
        assert line.split(maxsplit=1)[0] in shown
    assert run("--version").stdout == f"muxi-runtime, version {__version__}\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_of_the_table_explains_itself(run, name):
    done = run(name, "--help")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"Usage: muxi-runtime {name} ")


@pytest.mark.parametrize("arguments", [["statu"], ["status", "--nope"], ["call"], ["call", "x", "--url", "http://h:1"]])
def test_a_wrong_command_line_is_2(run, arguments):
    done = run(*arguments)
    assert done.returncode == ExitCode.USAGE
    assert "Usage:" in done.stderr
    assert not done.stdout


def test_a_mistyped_command_is_answered_with_the_nearest(run):
    assert "Did you mean 'status'?" in run("statu").stderr


def test_a_wrong_configuration_is_3_and_says_where_and_what_to_do(run, tmp_path):
    (tmp_path / "muxi.yaml").write_text("gateway:\n  prot: 1\n")
    done = run("--config", str(tmp_path / "muxi.yaml"), "config", "check")
    assert done.returncode == ExitCode.CONFIGURATION
    assert done.stderr.splitlines()[0] == f"error: {tmp_path}/muxi.yaml:2: gateway.prot: unknown; did you mean 'port'?"
    assert "do: Correct the file" in done.stderr
    assert "Traceback" not in done.stderr
    assert not done.stdout


def test_a_manifest_that_cannot_be_used_is_3_in_config_check(run, tmp_path):
    (tmp_path / "muxi.yaml").write_text("servers: {mine: {manifest: m.yaml}}\n")
    (tmp_path / "m.yaml").write_text("name: mine\nimage: x\nprofile: {secrets: {token: {expose: env}}}\n")
    done = run("--config", str(tmp_path / "muxi.yaml"), "config", "check")
    assert done.returncode == ExitCode.CONFIGURATION
    assert "m.yaml: profile.secrets: 'token' is no name" in done.stderr


def test_nothing_that_answers_is_5_and_names_the_command_to_type(run):
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
        done = run("status", "--url", f"http://127.0.0.1:{taken.getsockname()[1]}")
    assert done.returncode == ExitCode.NOT_RUNNING
    assert "Connection refused" in done.stderr
    assert "`muxi-runtime up`" in done.stderr


def test_a_key_that_is_not_taken_is_6(run, answer):
    url, seen = answer(401, b'{"error": "unauthorized", "error_description": "This API key is not known here."}')
    done = run("status", "--url", url, MUXI_KEY="muxi_x")
    assert done.returncode == ExitCode.REFUSED
    assert "This API key is not known here." in done.stderr
    assert "keys create" in done.stderr
    assert seen[0]["Authorization"] == "Bearer muxi_x"


def test_a_key_cannot_smuggle_a_header(run, answer):
    url, seen = answer(200, b"{}")
    done = run("status", "--url", url, "--key", "a\r\nX-Evil: 1")
    assert done.returncode == ExitCode.REFUSED
    assert not seen


def test_an_unknown_task_is_6(run, answer):
    url, seen = answer(404, b'{"error": "unknown_task", "error_description": "No task t/1 of yours."}')
    done = run("tasks", "end", "t/1", "--url", url)
    assert done.returncode == ExitCode.REFUSED
    assert "No task t/1 of yours." in done.stderr
    assert (seen[0]["method"], seen[0]["path"]) == ("DELETE", "/control/tasks/t%2F1")


@pytest.mark.parametrize(
    ("status", "body"),
    [(200, b"<html>"), (200, b"[]"), (200, b"[" * 100_000), (500, b'{"error": "x"}'), (200, b"\xff")],
)
def test_an_answer_that_makes_no_sense_is_7(run, answer, status, body):
    done = run("status", "--url", answer(status, body)[0])
    assert done.returncode == ExitCode.SERVER
    assert "Traceback" not in done.stderr


def test_a_part_that_does_not_work_is_1(run, answer):
    part = {"name": "engine", "ok": False, "detail": "gone\x1b[2J\u202e", "cure": "Start it."}
    status = {"version": "1", "pid": 1, "url": "http://x/mcp", "tasks": 0, "components": [part]}
    url, _ = answer(200, json.dumps(status).encode())
    people = run("status", "--url", url)
    assert people.returncode == ExitCode.FAILED
    assert "gone\\x1b[2J\\u202e" in people.stdout
    assert "Start it." in people.stdout
    program = run("status", "--url", url, "--json")
    assert program.returncode == ExitCode.FAILED
    assert json.loads(program.stdout) == status
    assert program.stdout.isascii()


def test_what_a_server_says_of_itself_cannot_act_on_the_terminal(run, answer):
    definition = {"name": "run", "description": "safe\x1b]0;owned\x07[bold]x[/bold]", "inputSchema": {}}
    tools = {"tools": [{"name": "code__run", "server": "code", "definition": definition, "pin": "ab" * 32}]}
    url, _ = answer(200, json.dumps(tools).encode())
    for arguments in (["tools", "list"], ["tools", "inspect", "code.run"]):
        done = run(*arguments, "--url", url, FORCE_COLOR="1")
        assert "safe\\x1b]0;owned\\x07[bold]x[/bold]" in done.stdout
        assert "\x1b]" not in done.stdout


def test_an_unknown_tool_is_6_and_answered_with_the_nearest(run, answer):
    tools = {"tools": [{"name": "code__run", "server": "code", "definition": {}, "pin": ""}]}
    url, _ = answer(200, json.dumps(tools).encode())
    done = run("call", "code.rum", "--url", url)
    assert done.returncode == ExitCode.REFUSED
    assert "Did you mean 'code.run'?" in done.stderr


def test_ctrl_c_is_130_and_quiet(tmp_path):
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        silent.settimeout(50)
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with subprocess.Popen(
            [*PROGRAM, "--home", str(tmp_path), "status", "--url", url], stderr=subprocess.PIPE, text=True
        ) as process:
            connection, _ = silent.accept()
            with closing(connection):
                process.send_signal(signal.SIGINT)
                _, stderr = process.communicate(timeout=50)
    assert process.returncode == ExitCode.INTERRUPTED
    assert "Traceback" not in stderr


@pytest.mark.parametrize("arguments", [["config", "show"], ["config", "show", "--json"], ["--help"]])
def test_a_reader_that_goes_away_ends_it_quietly(tmp_path, arguments):
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [*PROGRAM, "--home", str(tmp_path), *arguments],
            stdout=writer,
            stderr=subprocess.PIPE,
            timeout=50,
            check=False,
        )
    finally:
        os.close(writer)
    assert done.returncode == ExitCode.BROKEN_PIPE
    assert done.stderr == b""


def test_a_bug_shows_itself_whole():
    program = (
        "import sys; from muxi_runtime.cli import main\n"
        "main.COMMANDS['status'] = ('muxi_runtime.cli.not_there:x', '')\n"
        "sys.argv[1:] = ['status']; main.main()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == 1
    assert "Traceback" in done.stderr
